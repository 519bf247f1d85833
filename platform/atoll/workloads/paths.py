"""Paths as people give them: ``~``, wildcards, and folders whose names only look like either."""

import glob
import os
from pathlib import Path


def user_path(text: str) -> Path:
    """A path with a leading ``~`` written out; ``./~`` is a folder of that name, and ``~nobody`` one too."""
    return Path(os.path.expanduser(text))


def absolute_path(text: str) -> str:
    """The same from the root; empty stays empty."""
    return str(user_path(text).absolute()) if text else ""


def split_pattern(entry: str) -> tuple[Path, str]:
    """The part of an entry that is a path, and the pattern under it; empty where there is none.

    What is there is meant literally: in ``/data/[2024]/*.txt`` the folder ``[2024]`` is no pattern if it exists.
    """
    path = user_path(entry)
    parts = path.parts
    fixed = Path(*parts[:1]) if path.is_absolute() else Path()
    for place, part in enumerate(parts[1:] if path.is_absolute() else parts, start=int(path.is_absolute())):
        if glob.has_magic(part) and not os.path.lexists(fixed / part):
            return fixed, os.path.join(*parts[place:])
        fixed /= part
    return path, ""


def matches(fixed: Path, pattern: str) -> list[Path]:
    """What a pattern finds under a folder, whatever characters the folder's own name has."""
    return [fixed / found for found in glob.glob(pattern, root_dir=fixed, recursive=True)]
