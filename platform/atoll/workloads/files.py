"""From paths, folders and globs to a sorted list of files."""

import os
from collections.abc import Iterable
from pathlib import Path

from atoll.errors import ConfigError, DataError
from atoll.workloads.paths import matches, split_pattern, user_path


def find_files(paths: Iterable[str], workload: str) -> tuple[Path, ...]:
    """The files that these name, each once, sorted by path; folders with their subfolders, hidden files left out.

    Args:
        paths: Files, folders and globs.
        workload: Who asks, for messages.

    Raises:
        ConfigError: a path that does not exist, or a glob that matches no file.
        DataError: a folder that cannot be read, or holds no file.
    """
    found = {file.resolve(): file for entry in paths for file in _expand(entry, workload)}
    return tuple(sorted(found.values()))


def _expand(entry: str, workload: str) -> list[Path]:
    path = user_path(entry)
    if path.is_dir():
        files = _walk(path)
        if not files:
            raise DataError(f"{workload}: there is no file in folder '{entry}'")
        return files
    if path.is_file():
        return [path]
    fixed, pattern = split_pattern(entry)
    if not pattern:
        raise ConfigError(f"{workload}: path '{entry}' does not exist, or is neither a file nor a folder")
    files = [match for match in matches(fixed, pattern) if os.path.isfile(match)]
    if not files:
        raise ConfigError(f"{workload}: glob '{entry}' matches no file")
    return files


def _walk(folder: Path) -> list[Path]:
    found: list[Path] = []
    for where, folders, files in os.walk(folder, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found.extend(Path(where, name) for name in files if not name.startswith("."))
    return found


def _refuse(error: OSError) -> None:
    raise DataError(f"{error.filename}: folder cannot be read: {error.strerror}") from error
