"""Tables on disk as pyarrow batches: Parquet and CSV, some rows at a time, and only the columns that are asked for.

What the rows hold is private: no message repeats it.
"""

import difflib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from atoll.errors import ConfigError, DataError

_ROWS = 1 << 16


def read_table(path: Path, names: Sequence[str], workload: str) -> Iterator[Any]:
    """Record batches with these columns: ``.parquet`` and ``.pq`` are Parquet, ``.tsv`` has tabs, anything else is CSV.

    CSV has a header, may be compressed (``.gz``), and is read as text.

    Args:
        path: The file.
        names: Columns.
        workload: Who asks, for messages.

    Raises:
        ConfigError: pyarrow is not installed.
        DataError: the file cannot be read, or has no such column.
    """
    try:
        import pyarrow as pa
    except ImportError as error:
        raise ConfigError(f"{workload}: tables need pyarrow ({error}): pip install 'atoll[text]'") from error
    opened = _parquet if path.suffix.lower() in (".parquet", ".pq") else _csv
    try:
        yield from opened(path, names)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        # What pyarrow says may repeat a row.
        why = getattr(error, "strerror", None) or f"it is no readable table ({type(error).__name__})"
        raise DataError(f"{path}: cannot be read: {why}") from None


def column_of(batch: Any, name: str) -> Any:
    """A column of a record batch as a plain pyarrow array."""
    import pyarrow as pa

    column = batch.column(batch.schema.get_field_index(name))
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def trimmed(column: Any) -> Any:
    """A pyarrow array without white space around its texts."""
    from pyarrow import compute

    return compute.utf8_trim_whitespace(column) if is_text(column.type) else column


def is_text(kind: Any) -> bool:
    """Whether a pyarrow type is one of text."""
    import pyarrow as pa

    checks: tuple[Callable[[Any], bool], ...] = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(check(kind) for check in checks)


def _parquet(path: Path, names: Sequence[str]) -> Iterator[Any]:
    from pyarrow import parquet

    with path.open("rb") as stream:
        file = parquet.ParquetFile(stream, pre_buffer=False)
        _require(path, names, file.schema_arrow.names)
        yield from file.iter_batches(batch_size=_ROWS, columns=list(names), use_threads=False)


def _csv(path: Path, names: Sequence[str]) -> Iterator[Any]:
    import pyarrow as pa
    from pyarrow import csv

    bad: list[int] = []

    def refuse(row: Any) -> str:
        bad.append(row.number)
        return "error"

    read = csv.ReadOptions(use_threads=False)
    parse = csv.ParseOptions(delimiter="\t" if ".tsv" in path.suffixes else ",", invalid_row_handler=refuse)
    try:
        with csv.open_csv(path, read_options=read, parse_options=parse) as reader:
            there = reader.schema.names
        _require(path, names, there)
        # Everything is read as text, so that a bad value is found here, with its row.
        convert = csv.ConvertOptions(include_columns=list(names), column_types=dict.fromkeys(names, pa.string()))
        with csv.open_csv(path, read_options=read, parse_options=parse, convert_options=convert) as reader:
            yield from reader
    except pa.ArrowInvalid:
        if bad:
            raise DataError(f"{path}: line {bad[0]} has another number of columns than the header") from None
        raise


def _require(path: Path, names: Sequence[str], there: Sequence[str]) -> None:
    for name in names:
        if there.count(name) > 1:
            raise DataError(f"{path}: there are {there.count(name)} columns '{name}'")
        if name not in there:
            close = difflib.get_close_matches(name, there, n=1)
            hint = f"; did you mean '{close[0]}'?" if close else ""
            raise DataError(f"{path}: no column '{name}': there are {', '.join(there)}{hint}")
