"""A guard in the embedded engine's workers: each opens its own silo's folder, and no other's.

It sees what Python opens, lists and removes. A library that opens files in native code is not seen, so this catches mistakes; it does
not hold an attacker. Institutions that do not trust each other run nodes on machines of their own.
"""

import os
import sys
from pathlib import Path
from typing import Any

_WATCHED = frozenset({"open", "os.listdir", "os.scandir", "os.remove", "os.rename", "os.rmdir", "shutil.copyfile", "shutil.rmtree"})


def confine(own: Path, silos: Path) -> None:
    """Refuse paths below ``silos`` that are not below ``own``, until the process ends; a hook cannot be taken out again."""
    inside, mine = os.path.realpath(silos) + os.sep, os.path.realpath(own)

    def audit(event: str, args: tuple[Any, ...]) -> None:
        if event not in _WATCHED:
            return
        for argument in args:
            if not isinstance(argument, str | bytes | os.PathLike):
                continue
            path = os.path.realpath(os.fsdecode(argument))
            if path.startswith(inside) and path != mine and not path.startswith(mine + os.sep):
                raise PermissionError(f"this worker belongs to the silo in {mine} and may not touch {path}")

    sys.addaudithook(audit)
