"""An owner's rows: read from files, checked against the schema, encoded.

What the rows hold is private: no message repeats it.

Shapes: N rows, F entries of an encoded row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atoll.anchors.classifier.schema import Schema, canonical
from atoll.errors import DataError
from atoll.workloads.classification.samples import LabelledSamples, numbered
from atoll.workloads.reading import Tally
from atoll.workloads.tables import column_of, read_table
from atoll.workloads.tabular.config import REFUSE
from atoll.workloads.tabular.encode import encode, what_fits

Cells = NDArray[np.str_]


def read_rows(files: Sequence[Path], schema: Schema, invalid: str, tally: Tally | None = None) -> LabelledSamples:
    """Everything in these files, encoded, float32 [N, F].

    Args:
        files: Tables.
        schema: What their columns mean.
        invalid: ``refuse`` or ``missing``, see :class:`TabularConfig`.
        tally: Counts what is met.

    Raises:
        ConfigError: pyarrow is not installed.
        DataError: a file that cannot be read, lacks a column, or holds a value that cannot be; no rows at all.
    """
    tally = tally or Tally()
    parts = []
    for path in files:
        for part in read_table(path, schema.names, "tabular", tally):
            cells = {name: _cells(column_of(part.batch, name), name == schema.person) for name in schema.names}
            parts.append(_Part(path, part.numbers, cells).samples(schema, invalid, tally))
    tally.close()
    if not sum(map(len, parts)):
        raise DataError(
            "\n  ".join([f"tabular: there is no row in {', '.join(map(str, files))}", *tally.report().named])
        )
    return LabelledSamples(
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.label for part in parts]),
        np.concatenate([part.person for part in parts if part.person is not None]) if schema.person else None,
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """Some rows of one file, as texts by column, and the number of each, int64 [N]."""

    path: Path
    numbers: NDArray[np.int64]
    cells: dict[str, Cells]

    def samples(self, schema: Schema, invalid: str, tally: Tally) -> LabelledSamples:
        """The rows that can be used; the others are told to ``tally``."""
        encoded = []
        good = np.ones(len(self.numbers), dtype=np.bool_)
        for column in schema.columns:
            found = encode(column, schema, self.cells[column.name])
            if invalid == REFUSE:
                wrong = (
                    f"column '{column.name}' holds what cannot be: the anchor's schema has {what_fits(column)}; "
                    "correct it, or set invalid=missing to take such values as missing"
                )
                good &= self._checked(~found.bad, good, f"value that cannot be in '{column.name}'", wrong, tally)
            encoded.append(found.values)
        label = self._labels(schema)
        known = f"one of {', '.join(schema.label.classes_by_value)}"
        wrong = (
            f"column '{schema.label.column}' says no class: the anchor's schema has "
            f"{'any value' if schema.label.otherwise else known}, and no row without one"
        )
        good &= self._checked(label >= 0, good, "row without a class", wrong, tally)
        person = self._persons(schema)
        if schema.person:
            there = self.cells[schema.person] != ""
            good &= self._checked(there, good, "row of nobody", f"column '{schema.person}' names no person", tally)
        return LabelledSamples(np.concatenate(encoded, 1), label, person).select(np.flatnonzero(good))

    def _checked(
        self, fits: NDArray[np.bool_], good: NDArray[np.bool_], kind: str, wrong: str, tally: Tally
    ) -> NDArray[np.bool_]:
        """Tell of the rows, not told of before, that do not fit."""
        for row in np.flatnonzero(good & ~fits).tolist():
            tally.bad(kind, f"{self.path}: row {self.numbers[row]}: {wrong}")
        return fits

    def _labels(self, schema: Schema) -> NDArray[np.int64]:
        """Places of the classes, -1 where there is none."""
        label, cells = schema.label, self.cells[schema.label.column]
        known = label.classes_by_value
        otherwise = label.classes.index(label.otherwise) if label.otherwise else -1
        absent = {"", "nan", *map(canonical, schema.missing)} - set(known)
        return np.array(
            [-1 if cell in absent else known.get(cell, otherwise) for cell in cells.tolist()], dtype=np.int64
        )

    def _persons(self, schema: Schema) -> NDArray[np.int64] | None:
        return numbered(self.cells[schema.person]) if schema.person else None


def _cells(column: Any, exact: bool) -> Cells:
    """Texts of a pyarrow array, [N], canonical but where they are to be exact; empty where there is none."""
    import pyarrow as pa
    from pyarrow import compute

    texts = compute.cast(column, pa.string()).fill_null("").to_pylist()
    form = str.strip if exact else canonical
    known = {text: form(text) for text in set(texts)}
    return np.array([known[text] for text in texts], dtype=np.str_)
