"""A guard in the embedded engine's workers: each opens its own silo's folder and data, and no other's.

It sees what Python opens, lists, renames and removes. A library that opens files in native code is not seen, so this
catches mistakes; it does not hold an attacker. Institutions that do not trust each other run nodes on machines of their
own.
"""

import os
import sys
from collections.abc import Sequence
from typing import Any

_WATCHED = frozenset(
    {"open", "os.listdir", "os.scandir", "os.remove", "os.rename", "os.rmdir", "shutil.copyfile", "shutil.rmtree"}
)


def confine(own: Sequence[str], others: Sequence[str]) -> None:
    """Refuse what is below another silo's files and folders, until the process ends; a hook cannot be taken out again.

    Args:
        own: This silo's files and folders; they may be opened even where another silo names them, or a folder above
            them, as its own too.
        others: Those of all other silos.
    """
    mine, forbidden = _real(own), _real(others)

    def audit(event: str, args: tuple[Any, ...]) -> None:
        if event not in _WATCHED:
            return
        for argument in args:
            if not isinstance(argument, str | bytes | os.PathLike):
                continue
            path = os.path.realpath(os.fsdecode(argument))
            if _below(path, forbidden) and not _below(path, mine):
                raise PermissionError(f"{path} belongs to another silo, and this worker may not touch it")

    sys.addaudithook(audit)


def _real(paths: Sequence[str]) -> list[str]:
    return [os.path.realpath(path) for path in paths]


def _below(path: str, places: Sequence[str]) -> bool:
    return any(path == place or path.startswith(place + os.sep) for place in places)
