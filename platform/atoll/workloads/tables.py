"""Tables on disk as pyarrow batches: Parquet and CSV, some rows at a time, and only the columns that are asked for.

What the rows hold is private: no message repeats it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atoll.errors import ConfigError, DataError
from atoll.workloads.column_names import missing_name, require_unique
from atoll.workloads.csv_rows import open_csv, separator_hint
from atoll.workloads.reading import Bad, Tally
from atoll.workloads.signatures import HEAD, kind_of

_ROWS = 1 << 16


@dataclass(frozen=True, eq=False, slots=True)
class TablePart:
    """Some rows of a table, R of them.

    Attributes:
        batch: A pyarrow record batch.
        numbers: int64 [R], the number of each row in its file, from 1, without a header.
    """

    batch: Any
    numbers: NDArray[np.int64]


def read_table(path: Path, names: Sequence[str], workload: str, tally: Tally) -> Iterator[TablePart]:
    """Rows with these columns: ``.parquet`` and ``.pq`` are Parquet, ``.tsv`` has tabs, anything else is CSV.

    CSV has a header, may be compressed, and is read as text.

    Args:
        path: The file.
        names: Columns.
        workload: Who asks, for messages.
        tally: Told of rows that cannot be read, and of a file that cannot.

    Raises:
        ConfigError: pyarrow is not installed.
        DataError: a column is not there, or stands twice.
    """
    try:
        import pyarrow as pa
    except ImportError as error:
        raise ConfigError(f"{workload}: tables need pyarrow ({error}): pip install 'atoll[text]'") from error
    opened = _parquet(path, names) if path.suffix.lower() in (".parquet", ".pq") else _csv(path, names, tally)
    try:
        yield from opened
    except DataError as error:
        tally.bad_file(path, "file that cannot be read", str(error))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        # What pyarrow says may repeat a row.
        why = getattr(error, "strerror", None) or f"it is no readable table ({type(error).__name__})"
        tally.bad_file(path, "file that cannot be read", f"{path}: cannot be read: {why}")
    else:
        tally.file()


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


def require_unique_fields(schema: Any, where: str) -> None:
    """Check that no name stands twice in a pyarrow schema, nor in a structure within it.

    Raises:
        DataError: the names that do.
    """
    import pyarrow as pa

    fields = list(schema)
    require_unique((field.name for field in fields), where)
    for field in fields:
        kind = field.type
        while hasattr(kind, "value_type") and not pa.types.is_struct(kind):
            kind = kind.value_type
        if pa.types.is_struct(kind):
            require_unique_fields([kind.field(at) for at in range(kind.num_fields)], f"{where}: '{field.name}'")


def _parquet(path: Path, names: Sequence[str]) -> Iterator[TablePart]:
    from pyarrow import parquet

    with path.open("rb") as stream:
        kind = kind_of(stream.read(HEAD))
        if kind and "Parquet" not in kind:
            raise DataError(f"{path}: this is {kind}, no Parquet table")
        stream.seek(0)
        file = parquet.ParquetFile(stream, pre_buffer=False)
        require_unique_fields(file.schema_arrow, str(path))
        _require(path, names, file.schema_arrow.names)
        first = 1
        for batch in file.iter_batches(batch_size=_ROWS, columns=list(names), use_threads=False):
            yield TablePart(batch, np.arange(first, first + batch.num_rows))
            first += batch.num_rows


def _csv(path: Path, names: Sequence[str], tally: Tally) -> Iterator[TablePart]:
    table = open_csv(path)
    _require(path, names, table.header)
    at = [table.header.index(name) for name in names]
    numbers: list[int] = []
    cells: list[list[str]] = [[] for _ in names]
    for number, row in table.rows:
        if isinstance(row, Bad):
            tally.bad(row.kind, row.message)
            continue
        numbers.append(number)
        for column, place in zip(cells, at, strict=True):
            column.append(row[place])
        if len(numbers) == _ROWS:
            yield _part(names, numbers, cells)
            numbers, cells = [], [[] for _ in names]
    if numbers:
        yield _part(names, numbers, cells)


def _part(names: Sequence[str], numbers: list[int], cells: list[list[str]]) -> TablePart:
    """Everything is text, so that a bad value is found by whoever reads the column, with its row."""
    import pyarrow as pa

    columns = [pa.array(column, pa.string()) for column in cells]
    return TablePart(pa.RecordBatch.from_arrays(columns, list(names)), np.array(numbers, dtype=np.int64))


def _require(path: Path, names: Sequence[str], there: Sequence[str]) -> None:
    for name in names:
        if name not in there:
            raise DataError(f"{path}: {missing_name('column', name, there)}{separator_hint(list(there))}")
