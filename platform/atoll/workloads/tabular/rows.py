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

from atoll.anchors.classifier.schema import Column, Schema, canonical
from atoll.errors import DataError
from atoll.workloads.classification.samples import LabelledSamples, numbered
from atoll.workloads.tables import column_of, read_table
from atoll.workloads.tabular.config import REFUSE
from atoll.workloads.tabular.encode import encode, what_fits

Cells = NDArray[np.str_]


def read_rows(files: Sequence[Path], schema: Schema, invalid: str) -> LabelledSamples:
    """Everything in these files, encoded, float32 [N, F].

    Args:
        files: Tables.
        schema: What their columns mean.
        invalid: ``refuse`` or ``missing``, see :class:`TabularConfig`.

    Raises:
        ConfigError: pyarrow is not installed.
        DataError: a file that cannot be read, lacks a column, or holds a value that cannot be; no rows at all.
    """
    parts = []
    for path in files:
        first = 1
        for batch in read_table(path, schema.names, "tabular"):
            cells = {name: _cells(column_of(batch, name), name == schema.person) for name in schema.names}
            parts.append(_Part(path, first, cells).samples(schema, invalid))
            first += batch.num_rows
    if not sum(map(len, parts)):
        raise DataError(f"tabular: there is no row in {', '.join(map(str, files))}")
    return LabelledSamples(
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.label for part in parts]),
        np.concatenate([part.person for part in parts if part.person is not None]) if schema.person else None,
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """Some rows of one file, as texts by column; the first has the number ``first``, counted from 1."""

    path: Path
    first: int
    cells: dict[str, Cells]

    def samples(self, schema: Schema, invalid: str) -> LabelledSamples:
        encoded = []
        for column in schema.columns:
            found = encode(column, schema, self.cells[column.name])
            if invalid == REFUSE and found.bad.any():
                raise self._fault(int(found.bad.argmax()), column)
            encoded.append(found.values)
        return LabelledSamples(np.concatenate(encoded, 1), self._labels(schema), self._persons(schema))

    def _fault(self, row: int, column: Column) -> DataError:
        return DataError(
            f"{self.path}: row {self.first + row}: column '{column.name}' holds what cannot be: the anchor's schema "
            f"has {what_fits(column)}; correct it, or set invalid=missing to take such values as missing"
        )

    def _labels(self, schema: Schema) -> NDArray[np.int64]:
        label, cells = schema.label, self.cells[schema.label.column]
        known = label.classes_by_value
        otherwise = label.classes.index(label.otherwise) if label.otherwise else -1
        absent = {"", *map(canonical, schema.missing)} - set(known)
        numbers = [-1 if cell in absent else known.get(cell, otherwise) for cell in cells.tolist()]
        found = np.array(numbers, dtype=np.int64)
        if (found < 0).any():
            what = "any value" if label.otherwise else f"one of {', '.join(known)}"
            raise DataError(
                f"{self.path}: row {self.first + int((found < 0).argmax())}: column '{label.column}' says no class: "
                f"the anchor's schema has {what}, and no row without one"
            )
        return found

    def _persons(self, schema: Schema) -> NDArray[np.int64] | None:
        if not schema.person:
            return None
        cells = self.cells[schema.person]
        if (cells == "").any():
            row = self.first + int((cells == "").argmax())
            raise DataError(f"{self.path}: row {row}: column '{schema.person}' names no person")
        return numbered(cells)


def _cells(column: Any, exact: bool) -> Cells:
    """Texts of a pyarrow array, [N], canonical but where they are to be exact; empty where there is none."""
    import pyarrow as pa
    from pyarrow import compute

    texts = compute.cast(column, pa.string()).fill_null("").to_pylist()
    form = str.strip if exact else canonical
    known = {text: form(text) for text in set(texts)}
    return np.array([known[text] for text in texts], dtype=np.str_)
