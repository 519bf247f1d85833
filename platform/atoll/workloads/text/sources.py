"""From files to documents, one at a time: a silo may be larger than memory, a document may not."""

import codecs
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from atoll.errors import DataError
from atoll.workloads.excluded import Excluded
from atoll.workloads.text.config import TextConfig, no_such_field
from atoll.workloads.text.files import Source, find

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True, slots=True)
class Document:
    """One document, with at least one character that is not white space.

    Attributes:
        id: Name of the file and ordinal of the document in it, from 0.
        text: The document.
        read: Bytes of its file that were read by its end; for progress, and only nearly right for Parquet.
    """

    id: str
    text: str
    read: int

    @property
    def content(self) -> bytes:
        """What identifies it: its text, but for white space at its ends."""
        return self.text.strip().encode()


def documents(config: TextConfig, excluded: Excluded | None = None) -> Iterator[Document]:
    """All documents of a configuration, in an order that only the files' names and contents decide.

    Args:
        config: Where they are.
        excluded: Those that are passed over.

    Raises:
        ConfigError: see :func:`atoll.workloads.text.files.find`.
        DataError: what cannot be read, with the file and the place in it.
    """
    for source in find(config):
        yield from read(source, config, excluded)


def read(source: Source, config: TextConfig, excluded: Excluded | None = None) -> Iterator[Document]:
    """The documents of one file; those without any text are left out, and those that are excluded.

    Raises:
        DataError: what cannot be read, with the place.
    """
    ordinal = 0
    try:
        for text, position in _texts(source, config):
            if text and not text.isspace():
                document = Document(f"{source.name}#{ordinal}", text, position)
                ordinal += 1
                if excluded is None or not excluded.holds(document.content):
                    yield document
    except OSError as error:
        raise DataError(f"{source.path}: cannot be read: {error.strerror or error}") from error


def _texts(source: Source, config: TextConfig) -> Iterable[tuple[str, int]]:
    if source.format == "jsonl":
        return _json_lines(source.path, config.field)
    if source.format == "parquet":
        # Imported here: pyarrow is heavy, and in an extra.
        from atoll.workloads.text.parquet import column

        return column(source, config.field)
    if config.document == "paragraphs":
        return _paragraphs(source.path, config.paragraph_characters)
    return _whole(source.path)


def _whole(path: Path) -> Iterator[tuple[str, int]]:
    raw = path.read_bytes()
    yield _plain(raw, path, 0), len(raw)


def _paragraphs(path: Path, at_least: int) -> Iterator[tuple[str, int]]:
    """Groups of paragraphs; the blank lines after a group belong to it, so nothing of the file is lost."""
    group: list[str] = []
    characters = 0
    position = 0
    blank = False
    with path.open("rb") as stream:
        for raw in stream:
            line = _plain(raw, path, position)
            # A group ends before the first line of the paragraph that follows.
            if blank and line.strip() and characters >= at_least:
                yield "".join(group), position
                group, characters = [], 0
            blank = not line.strip()
            group.append(line)
            # Blank lines at the start do not count, so that no group is without text.
            if characters or not blank:
                characters += len(line)
            position += len(raw)
    yield "".join(group), position


def _json_lines(path: Path, field: str) -> Iterator[tuple[str, int]]:
    position = 0
    with path.open("rb") as stream:
        for number, raw in enumerate(stream, start=1):
            line = _decode(raw, path, position)
            position += len(raw)
            if line.strip():
                yield _field(line, field, f"{path}:{number}"), position


def _field(line: str, field: str, where: str) -> str:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{where}: not valid JSON ({error}); a JSON lines file has one complete object a line"
        ) from error
    if not isinstance(record, dict):
        raise DataError(f"{where}: a JSON {_json_type(record)}, not an object; write one object with '{field}' a line")
    if field not in record:
        raise DataError(f"{where}: {no_such_field('field', field, list(record))}")
    text = record[field]
    if not isinstance(text, str):
        raise DataError(f"{where}: field '{field}' is a JSON {_json_type(text)}, not a string")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise DataError(
                f"{where}: field '{field}' has half of a surrogate pair at character {error.start}; "
                "write the file again from its source as UTF-8"
            ) from error
    return text


def _json_type(value: object) -> str:
    names = {type(None): "null", bool: "boolean", int: "number", float: "number", str: "string", list: "array"}
    return names.get(type(value), "object")


def _plain(raw: bytes, path: Path, offset: int) -> str:
    text = _decode(raw, path, offset)
    nul = raw.find(b"\0")
    if nul >= 0:
        raise DataError(
            f"{path}: byte {offset + nul} is zero, so this is no plain UTF-8 text; leave the file out of the paths, "
            f"or convert it if it is UTF-16: iconv -f UTF-16 -t UTF-8 '{path}'"
        )
    return text.replace("\r\n", "\n")


def _decode(raw: bytes, path: Path, offset: int) -> str:
    if offset == 0:
        start = len(codecs.BOM_UTF8) if raw.startswith(codecs.BOM_UTF8) else 0
        raw, offset = raw[start:], start
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        guess = "UTF-16" if offset == 0 and raw.startswith(_UTF16) else "WINDOWS-1252"
        raise DataError(
            f"{path}: byte {offset + error.start} (0x{raw[error.start]:02x}) is not UTF-8 ({error.reason}); convert "
            f"the file, for instance with: iconv -f {guess} -t UTF-8 '{path}'; or leave it out of the paths"
        ) from error
