"""JSON to documents: one object a line, an array of objects as a file, or one object that fills a file."""

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from atoll.errors import DataError
from atoll.workloads.column_names import missing_name, nested, unique_object
from atoll.workloads.compressed import open_plain
from atoll.workloads.decoding import decode_plain
from atoll.workloads.reading import Bad

_BLOCK = 1 << 20
_LONGEST = 1 << 28
"""Characters of the largest record."""

_DECODER = json.JSONDecoder(object_pairs_hook=unique_object)
_SPACE = re.compile(r"[ \t\r\n]*")
_KINDS = {type(None): "null", bool: "boolean", int: "number", float: "number", str: "string", list: "array"}

Found = tuple[str | Bad, int]


def json_documents(path: Path, field: str) -> Iterator[Found]:
    """The texts of a field, with how many bytes were read by then.

    Raises:
        DataError: no text, or an array that is broken off.
    """
    with open_plain(path) as stream:
        array = _begins_array(stream.read(_BLOCK), path)
    with open_plain(path) as stream:
        yield from _array(stream, path, field) if array else _lines(stream, path, field)


def _begins_array(head: bytes, path: Path) -> bool:
    """Whether a file that begins so is one array of objects, and no lines."""
    first, rest = head.removeprefix(codecs.BOM_UTF8).lstrip()[:1], head.lstrip()[1:].lstrip()
    return first == b"[" and (path.suffix.lower() == ".json" or rest[:1] in (b"{", b"]", b""))


def _lines(stream: BinaryIO, path: Path, field: str) -> Iterator[Found]:
    position = 0
    for number, raw in enumerate(iter(lambda: stream.readline(_LONGEST + 1), b""), start=1):
        if len(raw) > _LONGEST:
            raise DataError(f"{path}:{number}: a line of more than {_LONGEST} bytes; is this JSON lines?")
        line = decode_plain(raw, path, position)
        position += len(raw)
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            record = json.loads(line, object_pairs_hook=unique_object)
        except (ValueError, RecursionError) as error:
            if number == 1 and path.suffix.lower() == ".json" and line.lstrip().startswith("{"):
                yield from _whole_object(line, stream, path, field)
                return
            advice = "a JSON lines file has one complete object a line"
            yield Bad("line that is no JSON", f"{where}: not valid JSON ({_said(error)}); {advice}"), position
        except DataError as error:
            yield Bad("object with a name twice", f"{where}: {error}"), position
        else:
            yield _text(record, field, where), position


def _whole_object(first: str, stream: BinaryIO, path: Path, field: str) -> Iterator[Found]:
    """A file that is one object over several lines."""
    rest = stream.read(_LONGEST)
    text = first + decode_plain(rest, path, 1)
    try:
        record = json.loads(text, object_pairs_hook=unique_object)
    except (ValueError, RecursionError) as error:
        advice = "a JSON lines file has one complete object a line"
        yield Bad("line that is no JSON", f"{path}:1: not valid JSON ({_said(error)}); {advice}"), len(text)
    except DataError as error:
        yield Bad("object with a name twice", f"{path}:1: {error}"), len(text)
    else:
        yield _text(record, field, f"{path}:1"), len(text)


def _array(stream: BinaryIO, path: Path, field: str) -> Iterator[Found]:
    """The elements of an array, one at a time: a file may be larger than memory, an element may not."""
    text = _Window(stream, path)
    text.skip(1)  # the bracket
    number = 0
    while text.next_character() != "]":
        if number:
            text.expect_comma(number)
        where = f"{path}[{number}]"
        record, fault = text.element(number)
        yield (
            (Bad("object with a name twice", f"{where}: {fault}") if fault else _text(record, field, where)),
            text.read,
        )
        number += 1
    text.skip(1)
    if text.next_character():
        raise DataError(f"{path}: something follows the JSON array; one array a file")


class _Window:
    """The part of a file of JSON that is being read."""

    def __init__(self, stream: BinaryIO, path: Path) -> None:
        """Start before the first character that is not white space."""
        self._stream, self._path = stream, path
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._text, self._at, self._ended = "", 0, False
        self.read = 0
        self.next_character()

    def skip(self, count: int) -> None:
        """Go on by so many characters."""
        self._at += count

    def next_character(self) -> str:
        """The next that is not white space; empty at the end of the file."""
        while True:
            self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more(_BLOCK):
                return ""

    def expect_comma(self, number: int) -> None:
        """Pass the comma before an element, and what white space there is after it."""
        if self.next_character() != ",":
            raise self._broken(number)
        self.skip(1)
        self.next_character()

    def element(self, number: int) -> tuple[object, str]:
        """The value that begins here, and what is wrong with its names, or nothing."""
        wanted = _BLOCK
        while True:
            record, end, fault = _value(self._text, self._at)
            # A number may go on in what is not read yet; everything else ends where it ends.
            if end and (end < len(self._text) or self._ended):
                self._at = end
                return record, fault
            if len(self._text) - self._at > _LONGEST or not self._more(wanted):
                raise self._broken(number)
            # Doubling keeps the work in proportion to the file, however long an element is.
            wanted *= 2

    def _more(self, wanted: int) -> bool:
        """Read on; whether there was anything."""
        raw = self._stream.read(wanted)
        self._ended, self.read = not raw, self.read + len(raw)
        try:
            self._text, self._at = self._text[self._at :] + self._decoder.decode(raw, final=not raw), 0
        except UnicodeDecodeError as error:
            raise DataError(f"{self._path}: the JSON array is not UTF-8 ({error.reason})") from None
        return bool(raw)

    def _broken(self, number: int) -> DataError:
        return DataError(
            f"{self._path}: element {number} of the JSON array is not valid JSON, or too long, or the array is cut off"
        )


def _value(text: str, at: int) -> tuple[object, int, str]:
    """The value that begins there, where it ends (0 where it does not), and what is wrong with its names."""
    try:
        record, end = _DECODER.raw_decode(text, at)
    except DataError as error:
        try:
            return None, json.JSONDecoder().raw_decode(text, at)[1], str(error)
        except (ValueError, RecursionError):
            return None, 0, ""
    except (ValueError, RecursionError):
        return None, 0, ""
    return record, end, ""


def _text(record: object, field: str, where: str) -> str | Bad:
    """The text of a record's field."""
    if not isinstance(record, dict):
        return Bad(
            "record that is no object",
            f"{where}: a JSON {_json_type(record)}, not an object; write one object with '{field}' a line",
        )
    try:
        text = nested(record, field)
    except KeyError as error:
        flat = "." not in field or field.partition(".")[0] not in record
        why = missing_name("field", field, list(record), "field") if flat else f"field '{field}': {error.args[0]}"
        return Bad("record without the field", f"{where}: {why}")
    if not isinstance(text, str):
        inner = f"; name one within it, as {field}.…" if isinstance(text, dict | list) else ""
        return Bad(
            "field that is no text", f"{where}: field '{field}' is a JSON {_json_type(text)}, not a string{inner}"
        )
    return text if text.isascii() else encodable(text, f"{where}: field '{field}'")


def encodable(text: str, where: str) -> str | Bad:
    """The text, unless it holds half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return Bad(
            "text with half of a surrogate pair",
            f"{where} has half of a surrogate pair at character {error.start}; write the file again from its source "
            "as UTF-8",
        )
    return text


def _json_type(value: object) -> str:
    return _KINDS.get(type(value), "object")


def _said(error: Exception) -> str:
    return error.msg if isinstance(error, json.JSONDecodeError) else type(error).__name__
