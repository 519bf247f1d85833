"""From paths, folders and globs to a sorted list of files."""

import difflib
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from atoll.errors import ConfigError, DataError
from atoll.workloads.paths import matches, split_pattern, user_path
from atoll.workloads.text.config import TextConfig

_SUFFIXES = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
}
_COMPRESSED = (".gz", ".zst", ".zstd", ".bz2", ".xz")
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Source:
    """One file to read.

    Attributes:
        path: Where it is.
        name: Its name relative to the folder that holds what the configuration named; the same wherever the data lies.
        format: ``text``, ``jsonl``, ``csv`` or ``parquet``.
        size: Bytes.
        modified: Time of the last change in nanoseconds, to notice a file that changes while it is read.
    """

    path: Path
    name: str
    format: str
    size: int
    modified: int


def find(config: TextConfig) -> tuple[Source, ...]:
    """The files that ``config.paths`` names, each once, sorted by name.

    Raises:
        ConfigError: a path that does not exist, or a glob that matches no file.
        DataError: folders without any file, or a file that may not be looked at.
    """
    found: dict[Path, tuple[str, Path]] = {}
    try:
        for entry in config.paths:
            for name, path in _expand(entry):
                found.setdefault(path.resolve(), (name, path))
        sources = tuple(_source(name, path, config.format) for name, path in sorted(found.values()))
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read: {error.strerror}") from error
    if not sources:
        raise DataError(f"text: no readable document: there is no file in {', '.join(config.paths)}")
    return sources


def changed(source: Source) -> bool:
    """Whether the file is no longer the one that :func:`find` saw."""
    try:
        status = source.path.stat()
    except OSError:
        return True
    return (status.st_size, status.st_mtime_ns) != (source.size, source.modified)


def digest(source: Source) -> str:
    """SHA-256 of the file's bytes, read block by block.

    Raises:
        DataError: the file cannot be read.
    """
    value = hashlib.sha256()
    try:
        with source.path.open("rb") as stream:
            while block := stream.read(_BLOCK):
                value.update(block)
    except OSError as error:
        raise DataError(f"{source.path}: cannot be read: {error.strerror}") from error
    return value.hexdigest()


def fixed_part(entry: str) -> Path:
    """The file or folder that an entry of ``paths`` names; for a glob the folder above its first wildcard."""
    return split_pattern(entry)[0]


def _expand(entry: str) -> list[tuple[str, Path]]:
    path = user_path(entry)
    if path.is_dir():
        # Not resolved before: a folder that is a link keeps the name it has in the configuration.
        parent = Path(os.path.abspath(path)).parent
        return [(os.path.relpath(os.path.abspath(file), parent).replace(os.sep, "/"), file) for file in _walk(path)]
    if path.is_file():
        return [(path.name, path)]
    if path.exists():
        raise ConfigError(f"text: path '{entry}' is neither a file nor a folder")
    root, pattern = split_pattern(entry)
    if not pattern:
        raise ConfigError(f"text: path '{entry}' does not exist: {_nearest(path)}")
    found = matches(root, pattern)
    files = [match for match in found if match.is_file()]
    if not files:
        why = f"matches only folders (try '{entry}/**/*')" if found else f"matches nothing: {_nearest(root)}"
        raise ConfigError(f"text: glob '{entry}' {why}")
    return [(file.relative_to(root).as_posix(), file) for file in files]


def _walk(folder: Path) -> list[Path]:
    found: list[Path] = []
    for where, folders, files in os.walk(folder, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = (Path(where, name) for name in files if not name.startswith("."))
        found.extend(path for path in paths if path.is_file())
    return found


def _refuse(error: OSError) -> None:
    raise DataError(f"{error.filename}: folder cannot be read: {error.strerror}") from error


def _source(name: str, path: Path, wanted: str) -> Source:
    status = path.stat()
    kind = _by_suffix(path) if wanted == "auto" else wanted
    return Source(path, name, kind, status.st_size, status.st_mtime_ns)


def _by_suffix(path: Path) -> str:
    """The format that a name stands for; the suffix of a compression is looked through, as ``notes.jsonl.gz``."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    while suffixes and suffixes[-1] in _COMPRESSED:
        suffixes.pop()
    return _SUFFIXES.get(suffixes[-1], "text") if suffixes else "text"


def _nearest(path: Path) -> str:
    """How far a path leads, and what there is instead of its first missing part."""
    missing, parent = path, path.parent
    if path.is_dir():
        return f"the folder '{path}' exists but nothing in it fits"
    while not parent.exists() and parent != parent.parent:
        missing, parent = parent, parent.parent
    if not parent.is_dir():
        return f"'{parent}' is not a folder"
    try:
        there = sorted(os.listdir(parent))
    except OSError as error:
        return f"the folder '{parent}' cannot be read: {error.strerror}"
    close = difflib.get_close_matches(missing.name, there, n=1)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    return f"the folder '{parent}' exists, '{missing.name}' in it does not{hint}"
