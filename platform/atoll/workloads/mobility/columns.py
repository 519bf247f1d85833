"""Columns of Parquet and CSV files, some rows at a time, and bad values found by their row.

What the rows hold is private: no message repeats it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atoll.errors import DataError
from atoll.workloads.tables import column_of, read_table, trimmed


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
    first = 1
    for batch in read_table(path, names, "mobility"):
        rows = Rows(path, first, tuple(column_of(batch, name) for name in names))
        for name, column in zip(names, rows.columns, strict=True):
            if column.null_count:
                raise rows.fault(column.is_null().index(True).as_py(), f"there is no value in column '{name}'")
        if batch.num_rows:
            yield rows
        first += batch.num_rows


def castable(column: Any, kind: Any) -> bool:
    """Whether every value of a pyarrow array has one in another type."""
    import pyarrow as pa
    from pyarrow import compute

    try:
        compute.cast(column, kind, safe=False)
    except pa.ArrowException:
        return False
    return True
