"""Rows of CSV as RFC 4180 has it: any quoting, line ends within quotes, fields of any size, compressed or not."""

import csv
import io
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from atoll.errors import DataError
from atoll.workloads.column_names import require_unique
from atoll.workloads.compressed import open_plain
from atoll.workloads.decoding import not_text, undecodable
from atoll.workloads.reading import Bad
from atoll.workloads.signatures import HEAD

_FIELD = 1 << 30
"""Characters of the largest field."""

_LIMIT = threading.Lock()


@dataclass(frozen=True, slots=True)
class CsvRows:
    """A CSV file, opened.

    Attributes:
        header: Names of the columns.
        rows: The number of each row, counted from 1 without the header, and its cells, as many as the header has.
    """

    header: list[str]
    rows: Iterator[tuple[int, list[str] | Bad]]


def delimiter_of(path: Path) -> str:
    """Tabs where the name says so (``.tsv``), else commas."""
    return "\t" if ".tsv" in [suffix.lower() for suffix in path.suffixes] else ","


def separator_hint(header: list[str]) -> str:
    """What to do about a header that other marks than commas seem to separate; nothing where none do."""
    mark = next((mark for mark in ";\t|" if len(header) == 1 and mark in header[0]), None)
    return f"; its columns seem to be separated by {mark!r}: write it with commas" if mark else ""


def open_csv(path: Path) -> CsvRows:
    """The header, once it is sure that its names are unlike, and the rows as they are asked for.

    Raises:
        DataError: no text, no header, a name that stands twice, a file that is cut off; also while rows are read.
        OSError: the file cannot be read.
    """
    found = _read(path)
    header = next(found)[1]
    assert not isinstance(header, Bad)
    require_unique(header, str(path))
    return CsvRows(header, found)


def _read(path: Path) -> Iterator[tuple[int, list[str] | Bad]]:
    with _LIMIT:
        if csv.field_size_limit() < _FIELD:
            csv.field_size_limit(_FIELD)
    with open_plain(path) as raw:
        head = raw.read(HEAD)
    if reason := not_text(head, path):
        raise DataError(reason)
    with open_plain(path) as raw, io.TextIOWrapper(raw, "utf-8-sig", newline="") as text:
        reader = csv.reader(text, delimiter=delimiter_of(path), strict=True)
        width, number = 0, 0
        while True:
            try:
                row = next(reader)
            except StopIteration:
                break
            except UnicodeDecodeError as error:
                raise DataError(undecodable(path, None, error.object[error.start], error.reason)) from None
            except csv.Error as error:
                # What the csv module says repeats nothing of the file.
                if "end of data" in str(error):
                    raise DataError(
                        f"{path}: a quote that opens in row {number + 1} or before is never closed"
                    ) from None
                if not width:
                    raise DataError(f"{path}: the header is no CSV ({error})") from None
                number += 1
                yield number, Bad("row that is no CSV", f"{path}: line {reader.line_num}: no CSV ({error})")
                continue
            if not row:
                continue
            if not width:
                width = len(row)
                yield 0, row
                continue
            number += 1
            if len(row) != width:
                yield (
                    number,
                    Bad(
                        "row with another number of columns",
                        f"{path}: line {reader.line_num} has another number of columns than the header",
                    ),
                )
            else:
                yield number, row
        if not width:
            raise DataError(f"{path}: the file is empty: there is no header")
