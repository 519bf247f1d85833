"""From positions to a city and trajectories: a grid of square cells, stays, and windows of some days.

Shapes: N positions, C cells with a position, n of them locations, V visits.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atoll.errors import DataError
from atoll.workloads.mobility.city import City
from atoll.workloads.mobility.features import POIS, location_features, popularity_ranks, standardised
from atoll.workloads.mobility.measures import measured
from atoll.workloads.mobility.table import Positions, read_places, read_points
from atoll.workloads.mobility.table_config import TableConfig
from atoll.workloads.mobility.trajectories import DAYS, SLOTS, Trajectories

_EARTH_METRES = 6_371_008.8
"""Mean radius of the Earth."""
_DAY, _SLOT = 86_400, 1800
_THURSDAY = 3
"""The day of the week, from Monday, on which 1970 began."""
_PAIRS = 1 << 22
"""Distances between cells held at a time."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Grid:
    """An equirectangular projection about one point, which is true to scale near it, cut into squares.

    Attributes:
        latitude: Of the point, degrees.
        longitude: Of the point, degrees.
        metres: Edge of a cell.
    """

    latitude: float
    longitude: float
    metres: float

    def cells(self, latitude: NDArray[np.float64], longitude: NDArray[np.float64]) -> Ints:
        """Column (east) and row (north) of the cells that hold these positions, int64 [N, 2]; 0, 0 is at the point."""
        # The shorter way round, for cities on the 180th meridian.
        east = np.radians((longitude - self.longitude + 180) % 360 - 180) * np.cos(np.radians(self.latitude))
        north = np.radians(latitude - self.latitude)
        return np.floor(np.stack((east, north), axis=1) * (_EARTH_METRES / self.metres)).astype(np.int64)


def grid_about(latitude: NDArray[np.float64], longitude: NDArray[np.float64], metres: float) -> Grid:
    """A grid about the median position, rounded to tenths of a degree.

    Silos in one city thus have the same cells (but where a median lies near the edge of a tenth), and the grid's point
    is nobody's position.
    """
    return Grid(round(float(np.median(latitude)), 1), round(float(np.median(longitude)), 1), metres)


def gridded(positions: Positions, config: TableConfig, name: str) -> tuple[City, Trajectories]:
    """The cells in which enough users were, or those of public places, as a city, and the users' visits to them.

    Args:
        positions: Who was where and when.
        config: How.
        name: What to call the city.

    Returns:
        The city, and trajectories, sorted by user and time, with quantities measured in km and nats. Of public places
        popularity ranks are unknown; of others they come from all visits.

    Raises:
        DataError: no cell with enough users, or no trajectory that is long enough.
    """
    if config.locations:
        latitude, longitude = read_places(config.locations, config)
        grid = grid_about(latitude, longitude, config.cell_metres)
        cells = by_row(grid.cells(latitude, longitude))
        of_position = nearest(grid.cells(positions.latitude, positions.longitude), cells)
    else:
        grid = grid_about(positions.latitude, positions.longitude, config.cell_metres)
        cells, of_position = locations(grid.cells(positions.latitude, positions.longitude), positions.user, config)
    chosen = visits(positions, of_position, config)
    location = of_position[chosen]
    unknown = np.zeros(len(cells), dtype=np.int64)
    city = City(
        name,
        location_features(
            _points_of_interest(grid, cells, config),
            standardised(cells),
            unknown if config.locations else popularity_ranks(np.bincount(location, minlength=len(cells))),
        ),
        ((cells - cells.min(0)) * (config.cell_metres / 1000)).astype(np.float32),
    )
    return city, _windows(positions, chosen, location, config, city)


def by_row(cells: Ints) -> Ints:
    """Each of these cells once, sorted by row, then column, [n, 2]."""
    return np.unique(cells[:, ::-1], axis=0)[:, ::-1]


def nearest(cells: Ints, kept: Ints) -> Ints:
    """The number of the kept cell that is nearest to each of the cells, [N]."""
    distinct, place = np.unique(cells, axis=0, return_inverse=True)
    return _nearest(distinct, kept)[place.reshape(-1)]


def locations(cells: Ints, user: Ints, config: TableConfig) -> tuple[Ints, Ints]:
    """Which cells are locations, and where each position counts.

    Args:
        cells: Column and row of each position, [N, 2].
        user: Whose it is, [N].
        config: Its ``least_users``: cells with fewer count as the nearest one that has as many.

    Returns:
        Column and row of each location, [n, 2], sorted by row, then column; the location of each position, [N].

    Raises:
        DataError: no cell has enough users.
    """
    low = cells.min(0)
    columns = int(cells[:, 0].max() - low[0]) + 1
    keys, of_position = np.unique((cells[:, 1] - low[1]) * columns + cells[:, 0] - low[0], return_inverse=True)
    found = np.stack((keys % columns + low[0], keys // columns + low[1]), axis=1)
    codes = np.unique(user, return_inverse=True)[1]
    pairs = np.unique(of_position * (int(codes.max()) + 1) + codes)
    users = np.bincount(pairs // (int(codes.max()) + 1), minlength=len(keys))
    kept = users >= config.least_users
    if not kept.any():
        raise DataError(
            f"mobility: no cell of {config.cell_metres:g} m was visited by {config.least_users} users; "
            "raise cell_metres, lower least_users, or add data"
        )
    number = np.cumsum(kept) - 1
    number[~kept] = _nearest(found[~kept], found[kept])
    return found[kept], number[of_position]


def visits(positions: Positions, location: Ints, config: TableConfig) -> Ints:
    """Which positions begin a visit, [V], sorted by user and time.

    Positions that follow each other in one location are one visit, unless ``gap_hours`` pass between two of them.
    """
    order = np.lexsort((positions.time, positions.user))
    user, place, time = positions.user[order], location[order], positions.time[order]
    begins = np.ones(len(order), dtype=np.bool_)
    begins[1:] = (user[1:] != user[:-1]) | (place[1:] != place[:-1]) | (np.diff(time) > config.gap_hours * 3600)
    return order[begins]


def _windows(positions: Positions, chosen: Ints, location: Ints, config: TableConfig, city: City) -> Trajectories:
    """Visits as trajectories of at most so many calendar days, counted from the user's first."""
    user, local = positions.user[chosen], positions.local[chosen]
    first = np.flatnonzero(np.concatenate(([True], user[1:] != user[:-1])))
    day = local // _DAY
    # Local clocks may be turned back, so that the first visit need not have the first day's number.
    since = np.maximum(0, day - np.repeat(day[first], np.diff(np.append(first, len(user)))))
    block = since // config.days
    begins = np.concatenate(([True], (user[1:] != user[:-1]) | (block[1:] != block[:-1])))
    start = np.append(np.flatnonzero(begins), len(user))
    slot = local // _SLOT
    wait = np.maximum(0, np.diff(slot, prepend=slot[:1]))
    wait[begins] = 0
    zeros = np.zeros(len(start) - 1, dtype=np.float32)
    all_ = Trajectories(
        user[start[:-1]],
        zeros,
        zeros,
        start,
        location.astype(np.int32),
        ((day + _THURSDAY) % DAYS).astype(np.int8),
        (slot % SLOTS).astype(np.int8),
        wait.astype(np.float32),
        np.zeros(len(user), dtype=np.float32),
    )
    long = all_.lengths >= config.shortest
    if not long.any():
        raise DataError(
            f"mobility: none of {len(all_)} windows of {config.days} days has {config.shortest} visits; "
            "lower shortest, raise days, or lower cell_metres"
        )
    return measured(all_.select(long), city)


def _nearest(cells: Ints, kept: Ints) -> Ints:
    """The number of the kept cell that is nearest to each of the cells; the first of several."""
    step = max(1, _PAIRS // len(kept))
    found = [np.zeros(0, dtype=np.int64)]
    for begin in range(0, len(cells), step):
        apart = cells[begin : begin + step, None, :] - kept
        found.append(np.square(apart, dtype=np.float64).sum(2).argmin(1))
    return np.concatenate(found)


def _points_of_interest(grid: Grid, cells: Ints, config: TableConfig) -> NDArray[np.float64]:
    """Points of interest by location and category, [n, P]; those outside of all locations are not counted."""
    counts = np.zeros((len(cells), POIS))
    if config.points_of_interest:
        latitude, longitude, category = read_points(config.points_of_interest, config)
        number = {cell: index for index, cell in enumerate(map(tuple, cells.tolist()))}
        found = grid.cells(latitude, longitude).tolist()
        where = np.array([number.get((column, row), -1) for column, row in found], dtype=np.int64)
        np.add.at(counts, (where[where >= 0], category[where >= 0]), 1)
    return counts
