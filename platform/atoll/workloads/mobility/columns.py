"""Columns of Parquet and CSV files, some rows at a time, and bad values found by their row.

What the rows hold is private: no message repeats it.
"""

import difflib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atoll.errors import ConfigError, DataError

_ROWS = 1 << 16


@dataclass(frozen=True)
class Rows:
    """Some rows of one file.

    Attributes:
        path: The file.
        first: The number of the first, counted from 1, without a header.
        columns: pyarrow arrays without gaps, in the order in which they were asked for.
    """

    path: Path
    first: int
    columns: tuple[Any, ...]

    def converted(self, column: int, kind: Any, wrong: str) -> Any:
        """A column as another pyarrow type.

        Raises:
            DataError: the first row that has no value in it, with ``wrong`` as the reason.
        """
        from pyarrow import compute

        values = trimmed(self.columns[column])
        if castable(values, kind):
            return compute.cast(values, kind, safe=False)
        low, high = 0, len(values)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if not castable(values[low:middle], kind) else (middle, high)
        raise self.fault(low, wrong)

    def numbers(self, column: int, low: float, high: float, wrong: str) -> NDArray[np.float64]:
        """A column of numbers, or of texts that are numbers, in float64.

        Raises:
            DataError: the first row that has none from ``low`` to ``high``, with ``wrong`` as the reason.
        """
        import pyarrow as pa

        values = self.converted(column, pa.float64(), wrong).to_numpy(zero_copy_only=False)
        self.require((values >= low) & (values <= high), wrong)
        return np.asarray(values, dtype=np.float64)

    def require(self, good: NDArray[np.bool_], wrong: str) -> None:
        """Check what must hold in every row.

        Raises:
            DataError: the first row in which it does not.
        """
        if not good.all():
            raise self.fault(int((~good).argmax()), wrong)

    def fault(self, row: int, wrong: str) -> DataError:
        """The error for one row, counted from 0 among these."""
        return DataError(f"{self.path}: row {self.first + row}: {wrong}")


def read_rows(path: Path, names: Sequence[str]) -> Iterator[Rows]:
    """Columns of a table: ``.parquet`` and ``.pq`` are Parquet, ``.tsv`` has tabs, anything else is CSV with a header.

    CSV may be compressed (``.gz``).

    Raises:
        ConfigError: pyarrow is not installed.
        DataError: the file cannot be read, has no such column, or a value is missing.
    """
    try:
        import pyarrow as pa
        from pyarrow import compute
    except ImportError as error:
        raise ConfigError(f"mobility: tables need pyarrow ({error}): pip install 'atoll[text]'") from error
    first = 1
    try:
        opened = _parquet if path.suffix.lower() in (".parquet", ".pq") else _csv
        for batch in opened(path, names):
            columns = [batch.column(batch.schema.get_field_index(name)) for name in names]
            rows = Rows(path, first, tuple(map(_plain, columns)))
            for name, column in zip(names, rows.columns, strict=True):
                if column.null_count:
                    row = compute.index(compute.is_null(column), True).as_py()
                    raise rows.fault(row, f"there is no value in column '{name}'")
            if batch.num_rows:
                yield rows
            first += batch.num_rows
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        # What pyarrow says may repeat a row.
        why = getattr(error, "strerror", None) or f"it is no readable table ({type(error).__name__})"
        raise DataError(f"{path}: cannot be read: {why}") from None


def is_text(kind: Any) -> bool:
    """Whether a pyarrow type is one of text."""
    import pyarrow as pa

    checks: tuple[Callable[[Any], bool], ...] = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(check(kind) for check in checks)


def trimmed(column: Any) -> Any:
    """A pyarrow array without white space around its texts."""
    from pyarrow import compute

    return compute.utf8_trim_whitespace(column) if is_text(column.type) else column


def castable(column: Any, kind: Any) -> bool:
    """Whether every value of a pyarrow array has one in another type."""
    import pyarrow as pa
    from pyarrow import compute

    try:
        compute.cast(column, kind, safe=False)
    except pa.ArrowException:
        return False
    return True


def _plain(column: Any) -> Any:
    import pyarrow as pa

    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


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
