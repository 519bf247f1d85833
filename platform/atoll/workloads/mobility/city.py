"""A city: its locations, what is known of each, and how far apart they are.

Shapes: n locations, F columns (see :mod:`atoll.workloads.mobility.features`).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from atoll.errors import DataError
from atoll.workloads.mobility.features import POIS, RANKS, Floats, width

SCALE_KM = 10.0
"""Kilometres of one unit of a standardised coordinate where nothing better is known."""

CELL_KM = 0.5
"""Edge of a cell of the published grids."""

_SHARES = 1e-3
"""How far from 1 the shares of a location may sum."""


@dataclass(frozen=True, eq=False)
class City:
    """The locations of one city. Location numbers mean nothing in any other.

    Attributes:
        name: What the city is called.
        features: float32 [n, F], the published columns.
        kilometres: float32 [n, 2], places east and north in km for distances, or None: then standardised coordinates
            times ``scale_km`` are.
        scale_km: Kilometres of one unit of a standardised coordinate, used where ``kilometres`` is None.

    Raises:
        DataError: values that no location can have; the message names the first row.
    """

    name: str
    features: Floats
    kilometres: Floats | None = None
    scale_km: float = SCALE_KM

    def __post_init__(self) -> None:
        features = np.asarray(self.features)
        _check_features(features, f"city '{self.name}'")
        object.__setattr__(self, "features", np.ascontiguousarray(features, dtype=np.float32))
        if self.kilometres is not None:
            places = np.asarray(self.kilometres)
            if places.shape != (self.n, 2) or not np.isfinite(places).all():
                raise DataError(f"city '{self.name}': kilometres must be finite numbers of shape ({self.n}, 2)")
            object.__setattr__(self, "kilometres", np.ascontiguousarray(places, dtype=np.float32))
        if not 0 < self.scale_km < np.inf:
            raise DataError(f"city '{self.name}': scale_km={self.scale_km} must be a positive number of kilometres")

    @property
    def n(self) -> int:
        """Locations."""
        return int(self.features.shape[0])

    @property
    def pois(self) -> int:
        """Categories of points of interest, P."""
        return int(self.features.shape[1] - 3) // 2

    @property
    def counts(self) -> Floats:
        """Points of interest by category, [n, P]."""
        return self.features[:, : self.pois]

    @property
    def coordinates(self) -> Floats:
        """Standardised coordinates, [n, 2]."""
        return self.features[:, -3:-1]

    @property
    def ranks(self) -> NDArray[np.int64]:
        """Popularity, [n]: 1 (most visited) to 8, or 0 where unknown."""
        return self.features[:, -1].astype(np.int64)

    @property
    def places(self) -> Floats:
        """Places east and north in km, float32 [n, 2]."""
        return self.coordinates * np.float32(self.scale_km) if self.kilometres is None else self.kilometres

    def distances(self, origin: ArrayLike, destinations: ArrayLike | None = None) -> Floats:
        """Straight-line distances in km, float32.

        Args:
            origin: A location, or an array of them.
            destinations: Locations, broadcast against ``origin``; all n, as the last axis, if not given.

        Raises:
            IndexError: there is no such location.
        """
        places = self.places
        here = places[_within(origin, self.n)]
        there = places if destinations is None else places[_within(destinations, self.n)]
        apart = (here[..., None, :] if destinations is None else here) - there
        kilometres: Floats = np.hypot(apart[..., 0], apart[..., 1])
        return kilometres


def read_locations(path: str | Path, name: str, scale_km: float = SCALE_KM, *, cell_km: float | None = CELL_KM) -> City:
    """A city from an array as MoveGCL publishes it: ``.npy``, float64 (n, 71), row i = location i.

    Coordinates that lie on a regular grid, as all published ones do, are turned into kilometres by the cell: each axis
    is standardised by itself, so that a common scale would stretch cities that are not square.

    Args:
        path: The file; pickled arrays are refused.
        name: What to call the city.
        scale_km: Kilometres of one unit of a standardised coordinate, where no grid is found.
        cell_km: Edge of a cell of the grid; None leaves grids alone and always goes by ``scale_km``.

    Raises:
        DataError: no such file, no array, another shape or type, or the first row with an impossible value.
    """
    where = Path(path)
    try:
        with where.open("rb") as stream:
            if stream.read(len(_MAGIC)) != _MAGIC:
                raise DataError(f"{where}: no .npy array; {_EXPECTED}")
        # A memory map does not believe a header that promises more than the file holds.
        values = np.load(where, mmap_mode="r", allow_pickle=False)
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{where}: there is no such file; 'locations' must name a city's .npy array") from None
    except Exception as error:  # numpy parses the header, and a corrupt one raises errors of many kinds
        raise DataError(f"{where}: no readable .npy array of numbers ({type(error).__name__}); {_EXPECTED}") from error
    if values.dtype.kind != "f":
        raise DataError(f"{where}: an array of {values.dtype}, not of floating-point numbers; {_EXPECTED}")
    if values.ndim != 2 or values.shape[1] != width():
        raise DataError(f"{where}: an array of shape {values.shape}; {_EXPECTED}")
    features = np.array(values, dtype=np.float64)
    _check_features(features, str(where))
    cells = None if cell_km is None else grid_cells(features[:, -3:-1])
    kilometres = None if cells is None or cell_km is None else (cells * cell_km).astype(np.float32)
    return City(name, features.astype(np.float32), kilometres, scale_km)


def write_locations(path: str | Path, city: City) -> None:
    """Write the features as MoveGCL publishes them, float64 (n, F); kilometres are not part of that format."""
    with Path(path).open("wb") as stream:
        np.save(stream, city.features.astype(np.float64), allow_pickle=False)


def grid_cells(coordinates: ArrayLike) -> NDArray[np.int64] | None:
    """Column and row of each location, int64 [n, 2], counted from 0, if its coordinates [n, 2] lie on a regular grid.

    A grid's spacing along an axis is taken to be its smallest gap. None where a gap is no whole multiple of that, or
    where an axis has too few values to tell.
    """
    axes = []
    for values in np.asarray(coordinates, dtype=np.float64).T:
        steps = np.diff(np.unique(values))
        steps = steps[steps > _SAME * max(1.0, float(np.abs(values).max()))]
        if len(steps) < _LEAST:
            return None
        exact = (values - values.min()) / steps.min()
        if exact.max() > _GRID or np.abs(exact - np.round(exact)).max() > _OFF:
            return None
        axes.append(np.round(exact).astype(np.int64))
    return np.stack(axes, axis=1)


_EXPECTED = f"expected are float64 numbers of shape (n, {width()}), one row a location, as MoveGCL publishes them"
_MAGIC = b"\x93NUMPY"
_SAME = 1e-6
"""Values closer than this are the same row of the grid; published values carry errors of 1e-8."""
_LEAST, _GRID, _OFF = 8, 10_000, 0.02
"""The fewest gaps and the most rows of a grid, and how far, in cells, a location may lie from its cell."""


def _check_features(features: NDArray[Any], where: str) -> None:
    """Raise DataError for the first row that no location can have."""
    if features.ndim != 2 or features.dtype.kind not in "fiu":
        raise DataError(f"{where}: features must be numbers of shape (n, F), not {features.dtype} {features.shape}")
    rows, columns = features.shape
    if columns < width(1) or columns % 2 == 0:
        raise DataError(
            f"{where}: {columns} columns; a table of P categories has 2 P + 3, such as {width()} for {POIS}"
        )
    if not rows:
        raise DataError(f"{where}: no location; a city has at least one row")
    pois = (columns - 3) // 2
    counts, shares, ranks = features[:, :pois], features[:, pois : 2 * pois], features[:, -1]
    sums = shares.sum(1)
    for wrong, what in (
        (~(np.abs(features) < np.finfo(np.float32).max).all(1), "a value that is not a number, or infinite"),
        ((counts < 0).any(1), f"a negative count of points of interest (columns 0 to {pois - 1})"),
        (
            ((shares < 0) | (shares > 1 + _SHARES)).any(1) | ((np.abs(sums - 1) > _SHARES) & (sums != 0)),
            f"shares of points of interest (columns {pois} to {2 * pois - 1}) that neither sum to 1 nor are all 0",
        ),
        (
            (ranks < 0) | (ranks > RANKS) | (ranks != np.round(ranks)),
            f"a popularity rank (column {columns - 1}) that is no whole number from 0 to {RANKS}",
        ),
    ):
        if wrong.any():
            raise DataError(f"{where}: row {int(wrong.argmax())} has {what}")


def _within(locations: ArrayLike, count: int) -> NDArray[np.int64]:
    """Location numbers, none of which counts from the end."""
    numbers = np.asarray(locations)
    if numbers.size and not 0 <= numbers.min() <= numbers.max() < count:
        raise IndexError(f"there are locations 0 to {count - 1}, not {numbers.min()} to {numbers.max()}")
    return numbers
