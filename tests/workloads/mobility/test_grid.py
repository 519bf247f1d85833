import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atoll.errors import DataError
from atoll.workloads.mobility import grid
from atoll.workloads.mobility.features import popularity_ranks
from atoll.workloads.mobility.grid import Grid, grid_about, gridded, locations, visits
from atoll.workloads.mobility.table import Positions
from atoll.workloads.mobility.table_config import TableConfig

EVERYTHING = TableConfig(least_users=1, shortest=2)
MONDAY = 1372636800
"""2013-07-01 00:00 in UTC."""
DEGREE = 6371.0088 * math.pi / 180
"""Kilometres of a degree of latitude."""


def positions(rows: list[tuple[int, float, int, int]], centre: tuple[float, float] = (41.2, -8.6)) -> Positions:
    """Rows of user, hours since a Monday, and the column and row of a 500 m cell about a centre."""
    user, hours, column, row = (np.array(values) for values in zip(*rows, strict=True))
    time = MONDAY + np.round(hours * 3600).astype(np.int64)
    latitude = centre[0] + (row + 0.5) * 0.5 / DEGREE
    longitude = centre[1] + (column + 0.5) * 0.5 / (DEGREE * math.cos(math.radians(centre[0])))
    return Positions(user.astype(np.int64), time, time, latitude, longitude)


def test_a_cell_is_as_large_as_it_should_be() -> None:
    flat = Grid(41.15, -8.6, 500)
    north = flat.cells(np.array([41.15 + 10 / DEGREE]), np.array([-8.6]))
    east = flat.cells(np.array([41.15]), np.array([-8.6 + 10 / (DEGREE * math.cos(math.radians(41.15)))]))
    assert abs(int(north[0, 1]) - 20) <= 1
    assert abs(int(east[0, 0]) - 20) <= 1
    assert (north[0, 0], east[0, 1]) == (0, 0)


def test_a_city_on_the_date_line() -> None:
    cells = Grid(0, 179.999, 500).cells(np.zeros(2), np.array([179.998, -179.998]))
    assert cells[:, 0].tolist() == [-1, 0]


def test_one_walk_by_hand() -> None:
    walk = [(1, 8.0, 0, 0), (1, 8.4, 0, 0), (1, 9.25, 3, 4), (1, 10.0, 0, 0), (1, 10.1, 0, 0), (1, 49.0, 3, 0)]
    city, found = gridded(positions(walk), EVERYTHING, "town")
    # Locations are sorted by row, then column: (0, 0), (3, 0), (3, 4).
    assert city.name == "town"
    assert city.kilometres is not None
    assert city.kilometres.tolist() == [[0, 0], [1.5, 0], [1.5, 2]]
    assert len(found) == 1
    window = found.window(0)
    assert window.location.tolist() == [0, 2, 0, 1]
    assert window.day.tolist() == [0, 0, 0, 2]
    assert window.slot.tolist() == [16, 18, 20, 2]
    assert window.wait.tolist() == [0, 2, 2, 78]
    assert window.jump.tolist() == [0, 2.5, 2.5, 1.5]
    assert window.entropy == pytest.approx(1.5 * math.log(2))
    assert city.ranks.tolist() == popularity_ranks([2, 1, 1]).tolist()
    # Columns 0 to 3 have mean 1.5 and variance 1.25.
    np.testing.assert_allclose(city.coordinates[:, 0], np.array([-1.5, 1.5, 1.5]) / math.sqrt(1.25), rtol=1e-6)
    assert not city.counts.any()


def test_windows_of_days() -> None:
    hours = [1, 2, 30, 71.9, 72.1, 80, 150, 151]
    _, found = gridded(positions([(1, hour, step % 2, 0) for step, hour in enumerate(hours)]), EVERYTHING, "town")
    assert found.lengths.tolist() == [4, 2, 2]
    assert found.day.tolist() == [0, 0, 1, 2, 3, 3, 6, 6]
    assert found.wait[found.start[:-1]].tolist() == [0, 0, 0]
    assert found.jump[found.start[:-1]].tolist() == [0, 0, 0]
    short = replace(EVERYTHING, shortest=3)
    assert gridded(positions([(1, h, s % 2, 0) for s, h in enumerate(hours)]), short, "town")[1].lengths.tolist() == [4]


def test_a_gap_begins_a_visit() -> None:
    stay = positions([(1, hour, 0, 0) for hour in (0, 11, 22, 35, 36)])
    chosen = visits(stay, np.zeros(5, dtype=np.int64), EVERYTHING)
    assert chosen.tolist() == [0, 3]


def test_rare_cells_count_as_the_nearest_location() -> None:
    crowd = [(user, user / 10, column, 0) for user in range(4) for column in (0, 10)]
    rare = [(9, 1.0, 4, 0), (9, 2.0, 7, 0), (8, 3.0, 30, 0)]
    # Everyone's position is in order: the location of the lone ones is that of the crowd's.
    value = positions(crowd + rare)
    cells = Grid(41.2, -8.6, 500).cells(value.latitude, value.longitude)
    kept, where = locations(cells, value.user, replace(EVERYTHING, least_users=4))
    assert kept.tolist() == [[0, 0], [10, 0]]
    assert where[-3:].tolist() == [0, 1, 1]
    _, all_cells = locations(cells, value.user, EVERYTHING)
    assert len(set(all_cells.tolist())) == 5


@settings(deadline=None)
@given(data=st.data(), least=st.integers(1, 4))
def test_no_location_was_visited_by_fewer_users(data: st.DataObject, least: int) -> None:
    place = st.tuples(st.integers(0, 9), st.integers(-4, 4), st.integers(-4, 4))
    rows = data.draw(st.lists(place, min_size=1, max_size=60))
    user, cells = np.array([row[0] for row in rows]), np.array([row[1:] for row in rows])
    config = replace(EVERYTHING, least_users=least)
    by_cell: dict[tuple[int, int], set[int]] = {}
    for who, column, row in rows:
        by_cell.setdefault((column, row), set()).add(who)
    expected = sorted((cell for cell, users in by_cell.items() if len(users) >= least), key=lambda cell: cell[::-1])
    if not expected:
        with pytest.raises(DataError, match=f"was visited by {least} users; raise cell_metres"):
            locations(cells, user, config)
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grid, "_PAIRS", 20)
        kept, where = locations(cells, user, config)
    assert kept.tolist() == [list(cell) for cell in expected]
    for cell, location in zip(cells.tolist(), where.tolist(), strict=True):
        apart = [math.dist(cell, other) for other in expected]
        assert apart[location] == min(apart)


@settings(deadline=None, max_examples=50)
@given(data=st.data(), days=st.integers(1, 3), shortest=st.integers(2, 3))
def test_against_loops(data: st.DataObject, days: int, shortest: int) -> None:
    row = st.tuples(
        st.integers(0, 3), st.integers(0, 2000).map(lambda tenth: tenth / 10), st.integers(0, 3), st.just(0)
    )
    rows = data.draw(st.lists(row, min_size=1, max_size=60, unique_by=lambda row: row[:2]))
    config = replace(EVERYTHING, days=days, shortest=shortest)
    expected = []
    for user in sorted({row[0] for row in rows}):
        mine = sorted(row[1:3] for row in rows if row[0] == user)
        kept: list[tuple[float, int]] = []
        last = (-math.inf, -1)
        for hour, cell in mine:
            # Clocks of positions() have whole seconds, and gap_hours is 12.
            if cell != last[1] or hour - last[0] > 12 + 1e-6:
                kept.append((hour, cell))
            last = (hour, cell)
        blocks: dict[int, list[tuple[float, int]]] = {}
        for hour, cell in kept:
            blocks.setdefault((int(hour // 24) - int(kept[0][0] // 24)) // days, []).append((hour, cell))
        expected += [(user, block) for block in blocks.values() if len(block) >= shortest]
    if not expected:
        with pytest.raises(DataError, match=f"has {shortest} visits; lower shortest"):
            gridded(positions(rows), config, "town")
        return
    city, found = gridded(positions(rows), config, "town")
    cells = sorted({row[2] for row in rows})
    assert city.n == len(cells)
    assert found.user.tolist() == [user for user, _ in expected]
    for index, (user, block) in enumerate(expected):
        window = found.window(index)
        assert [cells[location] for location in window.location] == [cell for _, cell in block]
        assert window.slot.tolist() == [int(hour * 2 + 1e-9) % 48 for hour, _ in block]
        assert window.day.tolist() == [int(hour // 24) % 7 for hour, _ in block]
        jumps = [0.0] + [abs(a[1] - b[1]) / 2 for a, b in zip(block[1:], block[:-1], strict=True)]
        assert window.jump.tolist() == pytest.approx(jumps)
        waits = [0] + [int(a[0] * 2 + 1e-9) - int(b[0] * 2 + 1e-9) for a, b in zip(block[1:], block[:-1], strict=True)]
        assert window.wait.tolist() == waits
        visited = Counter(cell for who, all_ in expected if who == user for _, cell in all_)
        shares = np.array(list(visited.values())) / sum(visited.values())
        assert window.entropy == pytest.approx(float(-(shares * np.log(shares)).sum()), abs=1e-6)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_order_of_rows_means_nothing(seed: int) -> None:
    rows = [(user, 0.5 * step + user / 50, (step * user) % 5, step % 3) for user in range(6) for step in range(12)]
    one = gridded(positions(rows), replace(EVERYTHING, least_users=2), "town")
    order = np.random.default_rng(seed).permutation(len(rows))
    other = gridded(positions([rows[place] for place in order]), replace(EVERYTHING, least_users=2), "town")
    np.testing.assert_array_equal(one[0].features, other[0].features)
    np.testing.assert_array_equal(one[1].location, other[1].location)
    np.testing.assert_array_equal(one[1].start, other[1].start)


def test_silos_in_one_city_share_a_grid() -> None:
    one, other = (positions([(1, hour, hour % 3 + shift, shift) for hour in range(9)]) for shift in (0, 2))
    grids = [grid_about(there.latitude, there.longitude, 500) for there in (one, other)]
    assert grids == [Grid(41.2, -8.6, 500)] * 2


def test_points_of_interest_are_counted_by_location(tmp_path: Path) -> None:
    rows = positions([(1, 0.0, 0, 0), (1, 1.0, 3, 0), (1, 2.0, 0, 0)])
    here, there = (f"{rows.latitude[place]},{rows.longitude[place]}" for place in (0, 1))
    path = tmp_path / "points.csv"
    path.write_text(f"latitude,longitude,category\n{here},2\n{here},2\n{there},33\n{here},5\n80,80,1\n")
    city, _ = gridded(rows, replace(EVERYTHING, points_of_interest=str(path)), "town")
    expected = np.zeros((2, 34))
    expected[0, 2], expected[0, 5], expected[1, 33] = 2, 1, 1
    np.testing.assert_array_equal(city.counts, expected)
    np.testing.assert_allclose(city.features[0, 34 + 2], 2 / 3)
