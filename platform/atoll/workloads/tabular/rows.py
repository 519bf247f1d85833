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
from atoll.workloads.tables import column_of, read_table
from atoll.workloads.tabular.config import REFUSE
from atoll.workloads.tabular.encode import encode, what_fits

Cells = NDArray[np.str_]


@dataclass(frozen=True, eq=False, slots=True)
class Rows:
    """Rows of a table.

    Attributes:
        columns: Encoded, float32 [N, F].
        label: Number of the class, int64 [N].
        key: Of each row, by which it falls into a split: of its person, or of all that is read of it.
        person: Whose each is, any numbers, int64 [N]; ``None`` where the schema names no column for that.
    """

    columns: NDArray[np.float32]
    label: NDArray[np.int64]
    key: list[str]
    person: NDArray[np.int64] | None

    def __len__(self) -> int:
        return len(self.label)

    def select(self, chosen: NDArray[np.int64]) -> "Rows":
        """Some of them."""
        person = None if self.person is None else self.person[chosen]
        return Rows(self.columns[chosen], self.label[chosen], [self.key[row] for row in chosen], person)


def read_rows(files: Sequence[Path], schema: Schema, invalid: str) -> Rows:
    """Everything in these files.

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
            cells = {name: _cells(column_of(batch, name)) for name in schema.names}
            parts.append(_Part(path, first, cells).rows(schema, invalid))
            first += batch.num_rows
    if not sum(map(len, parts)):
        raise DataError(f"tabular: there is no row in {', '.join(map(str, files))}")
    columns, label = (np.concatenate([getattr(part, name) for part in parts]) for name in ("columns", "label"))
    key = [key for part in parts for key in part.key]
    return Rows(columns, label, key, np.unique(key, return_inverse=True)[1] if schema.person else None)


@dataclass(frozen=True, slots=True)
class _Part:
    """Some rows of one file, as texts by column; the first has the number ``first``, counted from 1."""

    path: Path
    first: int
    cells: dict[str, Cells]

    def rows(self, schema: Schema, invalid: str) -> Rows:
        encoded = []
        for column in schema.columns:
            found = encode(column, schema, self.cells[column.name])
            if invalid == REFUSE and found.bad.any():
                raise self._fault(int(found.bad.argmax()), column)
            encoded.append(found.values)
        return Rows(np.concatenate(encoded, 1), self._labels(schema), self._keys(schema), None)

    def _fault(self, row: int, column: Column) -> DataError:
        return DataError(
            f"{self.path}: row {self.first + row}: column '{column.name}' holds what cannot be: the anchor's schema has "
            f"{what_fits(column)}; correct it, or set invalid=missing to take such values as missing"
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
                f"{self.path}: row {self.first + int((found < 0).argmax())}: column '{label.column}' says no class: the "
                f"anchor's schema has {what}, and no row without one"
            )
        return found

    def _keys(self, schema: Schema) -> list[str]:
        if schema.person:
            cells = self.cells[schema.person]
            if (cells == "").any():
                row = self.first + int((cells == "").argmax())
                raise DataError(f"{self.path}: row {row}: column '{schema.person}' names no person")
            found: list[str] = cells.tolist()
            return found
        # Equal rows, whatever their labels, fall into one split: else a model would be tested on what it has seen.
        read = [self.cells[column.name].tolist() for column in schema.columns]
        return ["\x1f".join(row) for row in zip(*read, strict=True)]


def _cells(column: Any) -> Cells:
    """Canonical texts of a pyarrow array, [N]; empty where there is none."""
    import pyarrow as pa
    from pyarrow import compute

    texts = compute.cast(column, pa.string()).fill_null("").to_pylist()
    canon = {text: canonical(text) for text in set(texts)}
    return np.array([canon[text] for text in texts], dtype=np.str_)
