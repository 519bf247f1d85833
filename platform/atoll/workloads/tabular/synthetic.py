"""Rows that nobody's data went into: drawn from a schema alone, the same for everyone.

Shapes: N rows, F entries of an encoded row.
"""

import numpy as np
from numpy.typing import NDArray

from atoll.anchors.classifier.schema import BOUND, NUMERIC, Schema

_MISSING = 0.1
"""Share of the cells that are missing."""


def synthetic_columns(schema: Schema, count: int, seed: int) -> NDArray[np.float32]:
    """Encoded rows, float32 [N, F]: numbers normal about their centres, values alike likely, columns independent."""
    rng = np.random.default_rng(seed)
    table = np.zeros((count, schema.width), dtype=np.float32)
    everyone = np.arange(count)
    for column, span in schema.spans:
        part = table[:, span]
        missing = rng.random(count) < _MISSING
        if column.kind == NUMERIC:
            part[:, 0] = np.where(missing, 0.0, rng.standard_normal(count).clip(-BOUND, BOUND))
            part[:, 1] = missing
        else:
            chosen = rng.integers(0, len(column.values), count)
            part[everyone, np.where(missing, len(column.values), chosen)] = 1.0
    return table


def synthetic_labels(schema: Schema, count: int, seed: int) -> NDArray[np.int64]:
    """Classes that say nothing of the rows, all alike likely, int64 [N]."""
    return np.random.default_rng((seed, 1)).integers(0, len(schema.label.classes), count)
