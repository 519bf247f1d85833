"""What is known of a location beside its number: the columns that MoveGCL publishes, and how each is computed.

Shapes: n locations, P categories of points of interest (34 in the published arrays), F = 2 P + 3 columns::

    0 .. P-1        counts of points of interest by category
    P .. 2P-1       the same as shares: they sum to 1, or are all 0 where nothing was counted
    2P, 2P+1        coordinates, east and north, standardised
    2P+2            popularity rank, 1 (most visited) to 8, or 0 where visits are unknown

The published description (README of tsinghua-fib-lab/MoveGCL) differs from the published arrays, which say, looked at:

- There are 71 columns, not 81, and no location without a point of interest.
- Coordinates are longitude, then latitude. They lie on a regular grid and each axis is standardised by itself, over the
  whole grid that the city was cut into, not over the locations that are left: in Atlanta, Seattle and Washington
  exactly over a rectangle, in the others within 4 % of one. A unit is thus another distance in each city and along each
  axis; cells of half a kilometre give the cities the size that they have.
- Ranks are bands of visits, cut after the first 1, 5, 10, 20, 40, 60 and 80 % of the locations (rounded down).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

POIS = 34
"""Categories in the published arrays."""

BANDS = (1, 5, 10, 20, 40, 60, 80)
"""After how many per cent of the locations, from the most visited, the next popularity rank begins."""

RANKS = len(BANDS) + 1

Floats = NDArray[np.float32]


def width(pois: int = POIS) -> int:
    """Columns of a table with so many categories of points of interest, F."""
    return 2 * pois + 3


def location_features(counts: ArrayLike, coordinates: ArrayLike, ranks: ArrayLike) -> Floats:
    """The columns of every location.

    Args:
        counts: Points of interest by category, [n, P].
        coordinates: Standardised, [n, 2], see :func:`standardised`.
        ranks: Popularity, [n], see :func:`popularity_ranks`.

    Returns:
        float32 [n, F].
    """
    numbers = np.asarray(counts, dtype=np.float64)
    columns = (numbers, poi_shares(numbers), np.asarray(coordinates), np.asarray(ranks)[:, None])
    return np.concatenate(columns, axis=1, dtype=np.float32)


def poi_shares(counts: ArrayLike) -> NDArray[np.float64]:
    """Counts [n, P] divided by their sum over the categories; 0 where that is 0."""
    numbers = np.asarray(counts, dtype=np.float64)
    totals = numbers.sum(1, keepdims=True)
    shares: NDArray[np.float64] = np.divide(numbers, totals, out=np.zeros_like(numbers), where=totals > 0)
    return shares


def standardised(cells: ArrayLike) -> NDArray[np.float64]:
    """Cells of a grid as standardised coordinates: each axis over its whole range of rows or columns, as published.

    Args:
        cells: Column and row of each location, whole numbers [n, 2]; the range of each axis is that of its values.

    Returns:
        [n, 2]; 0 along an axis with a single row or column.
    """
    grid = np.asarray(cells, dtype=np.float64)
    low, high = grid.min(0), grid.max(0)
    # Mean and variance of the whole numbers low..high.
    deviation = np.sqrt(((high - low + 1) ** 2 - 1) / 12)
    coordinates: NDArray[np.float64] = (grid - (low + high) / 2) / np.where(deviation > 0, deviation, 1)
    return coordinates


def popularity_ranks(visits: ArrayLike) -> NDArray[np.int64]:
    """Rank 1 (most visited) to 8 of each location [n], in the published bands; equal visits go by their order."""
    numbers = np.asarray(visits)
    count = len(numbers)
    place = np.empty(count, dtype=np.int64)
    place[np.argsort(-numbers, kind="stable")] = np.arange(count)
    ends = [count * band // 100 for band in BANDS]
    return np.searchsorted(ends, place, side="right") + 1
