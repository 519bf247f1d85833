"""Cells of a column, as texts, to entries of encoded rows.

Shapes: N rows, W entries that the column takes of an encoded row.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atoll.anchors.classifier.schema import BOUND, CATEGORICAL, Column, Schema, canonical

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False, slots=True)
class Encoded:
    """A column of some rows.

    Attributes:
        values: float32 [N, W]; what cannot be is encoded as missing.
        bad: bool [N], where there is a value that cannot be.
    """

    values: Floats
    bad: NDArray[np.bool_]


def encode(column: Column, schema: Schema, cells: NDArray[np.str_]) -> Encoded:
    """The cells of a column, in their canonical form, as entries of encoded rows."""
    distinct, place = np.unique(cells, return_inverse=True)
    read = _category if column.kind == CATEGORICAL else _number
    known = {canonical(value): number for number, value in enumerate(column.values)}
    # A value that the schema lists is one, whatever its text means elsewhere: NA is Namibia among codes of countries.
    absent = {"", "nan", *map(canonical, (*schema.missing, *column.missing))} - set(known)
    table = np.zeros((len(distinct), column.width), dtype=np.float32)
    bad = np.zeros(len(distinct), dtype=np.bool_)
    for row, cell in enumerate(distinct.tolist()):
        found = None if cell in absent else read(column, known, cell)
        bad[row] = found is None and cell not in absent
        if found is None:
            table[row, -1] = 1.0
        else:
            table[row, found[0]] = found[1]
    return Encoded(table[place], bad[place])


def what_fits(column: Column) -> str:
    """What may stand in a column, in words."""
    if column.kind == CATEGORICAL:
        return f"one of {', '.join(column.values)}"
    low, high = column.bounds
    if column.log:
        low = max(low, 0.0)
    bounds = [f"from {low:g}"] if math.isfinite(low) else []
    bounds += [f"up to {high:g}"] if math.isfinite(high) else []
    return " ".join(["a number", *bounds]) + (", above 0" if column.log else "")


def _category(column: Column, known: dict[str, int], cell: str) -> tuple[int, float] | None:
    return (known[cell], 1.0) if cell in known else None


def _number(column: Column, known: dict[str, int], cell: str) -> tuple[int, float] | None:
    try:
        value = math.inf if "_" in cell else float(cell)  # Python reads 1_0 as ten
    except ValueError:
        return None
    low, high = column.bounds
    if not math.isfinite(value) or not low <= value <= high or (column.log and value <= 0):
        return None
    standardised = ((math.log(value) if column.log else value) - column.centre) / column.scale
    return 0, min(max(standardised, -BOUND), BOUND)
