"""Columns of Parquet and CSV files, some rows at a time, and bad values found by their row.

What the rows hold is private: no message repeats it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atoll.workloads.reading import Tally
from atoll.workloads.tables import column_of, read_table, trimmed

Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Rows:
    """Some rows of one file, R of them.

    Attributes:
        path: The file.
        numbers: int64 [R], the number of each, counted from 1, without a header.
        columns: pyarrow arrays without gaps, in the order in which they were asked for.
        tally: Told of rows that cannot be used.
    """

    path: Path
    numbers: NDArray[np.int64]
    columns: tuple[Any, ...]
    tally: Tally

    def floats(self, column: int) -> NDArray[np.float64]:
        """A column of numbers, or of texts that are numbers, float64 [R]; not a number where there is none."""
        import pyarrow as pa
        from pyarrow import compute

        values = trimmed(self.columns[column])
        if castable(values, pa.float64()):
            found: NDArray[np.float64] = compute.cast(values, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
            return found
        return np.array([_float(value) for value in values.to_pylist()], dtype=np.float64)

    def within(self, column: int, low: float, high: float) -> tuple[NDArray[np.float64], Bools]:
        """A column of numbers, and where they are from ``low`` to ``high``."""
        values = self.floats(column)
        return values, (values >= low) & (values <= high)

    def good(self, checks: Sequence[tuple[Bools, str]]) -> Bools:
        """Rows that pass all checks, bool [R]; of the others the first that they fail is told.

        Args:
            checks: Which rows are good, and what is wrong with those that are not.
        """
        good = np.ones(len(self.numbers), dtype=np.bool_)
        for fits, wrong in checks:
            for row in np.flatnonzero(good & ~fits).tolist():
                self.tally.bad(wrong, f"{self.path}: row {self.numbers[row]}: {wrong}")
            good &= fits
        return good


def read_rows(path: Path, names: Sequence[str], tally: Tally) -> Iterator[Rows]:
    """Columns of a table: ``.parquet`` and ``.pq`` are Parquet, ``.tsv`` has tabs, anything else is CSV with a header.

    CSV may be compressed. Rows without a value in one of the columns are told to ``tally``, and left out.

    Raises:
        ConfigError: pyarrow is not installed.
    """
    import pyarrow as pa

    for part in read_table(path, names, "mobility", tally):
        columns = [column_of(part.batch, name) for name in names]
        rows = Rows(path, part.numbers, tuple(columns), tally)
        there = [column.is_valid().to_numpy(zero_copy_only=False) for column in columns]
        good = rows.good(
            [(each, f"there is no value in column '{name}'") for name, each in zip(names, there, strict=True)]
        )
        if good.all():
            yield rows
        elif good.any():
            mask = pa.array(good)
            yield Rows(path, part.numbers[good], tuple(column.filter(mask) for column in columns), tally)


def castable(column: Any, kind: Any) -> bool:
    """Whether every value of a pyarrow array has one in another type."""
    import pyarrow as pa
    from pyarrow import compute

    try:
        compute.cast(column, kind, safe=False)
    except pa.ArrowException:
        return False
    return True


def _float(value: Any) -> float:
    try:
        # Python reads 1_0 as ten.
        return float("nan") if "_" in str(value) else float(value)
    except (TypeError, ValueError):
        return float("nan")
