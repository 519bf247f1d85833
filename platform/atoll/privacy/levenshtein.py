"""Edit distances of many pairs at once, within a band (Ukkonen 1985, Information and Control 64:100).

Shapes: P pairs, M and L tokens; a sequence ends at its first negative number.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.integer[Any]]

_FAR = 1 << 20


def similar(a_PM: Tokens, b_PL: Tokens, threshold: float) -> NDArray[np.bool_]:
    """Which pairs have a similarity ``1 - distance / longer length`` of at least ``threshold``: [P].

    Two empty sequences are the same.
    """
    longer = np.maximum(lengths(a_PM), lengths(b_PL))
    limits = np.floor((1 - threshold) * longer + 1e-9).astype(np.int64)
    return edit_distances(a_PM, b_PL, limits) <= limits


def edit_distances(a_PM: Tokens, b_PL: Tokens, limits_P: NDArray[np.int64]) -> NDArray[np.int64]:
    """Levenshtein distances up to a limit: [P].

    Only the diagonals within the largest limit are computed, row by row for all pairs together; a pair is dropped once
    all of its row is beyond its limit, which for unlike sequences is soon.

    Args:
        a_PM: One sequence of each pair.
        b_PL: The other.
        limits_P: Where a pair's distance is beyond its limit, the answer is the limit and one.
    """
    a_ends, b_ends = lengths(a_PM), lengths(b_PL)
    found = limits_P + 1
    pairs = np.flatnonzero(np.abs(a_ends - b_ends) <= limits_P)
    if not len(pairs):
        return found
    band = int(limits_P[pairs].max())
    # Column o of the band in row i is position j = i + o - band of b.
    offsets = np.arange(2 * band + 1)
    row = np.where(offsets >= band, offsets - band, _FAR)[None].repeat(len(pairs), 0)
    a = a_PM[pairs]
    b = np.pad(b_PL[pairs], ((0, 0), (band, a.shape[1] + band + 1)), constant_values=-1)
    for i in range(a.shape[1] + 1):
        if i:
            changed = row + (a[:, i - 1, None] != b[:, i - 1 : i + 2 * band])
            changed[:, :-1] = np.minimum(changed[:, :-1], row[:, 1:] + 1)
            # cur[o] = min over o' <= o of changed[o'] + (o - o'): insertions, without a loop over the row.
            row = np.minimum.accumulate(changed - offsets, axis=1) + offsets
        ended = a_ends[pairs] == i
        if ended.any():
            last = row[ended, (b_ends[pairs] - i + band)[ended]]
            found[pairs[ended]] = np.minimum(last, found[pairs[ended]])
        alive = ~ended & (row.min(1) <= limits_P[pairs])
        if not alive.all():
            pairs, row, a, b = pairs[alive], row[alive], a[alive], b[alive]
            if not len(pairs):
                break
    return found


def lengths(tokens: Tokens) -> NDArray[np.int64]:
    """Tokens before the first negative number: [P]."""
    ended = np.pad(tokens < 0, ((0, 0), (0, 1)), constant_values=True)
    found: NDArray[np.int64] = ended.argmax(1).astype(np.int64)
    return found
