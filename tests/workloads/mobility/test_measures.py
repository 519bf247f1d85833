import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.workloads.mobility.samples import city, same, trajectories

from atoll.workloads.mobility.measures import jumps, location_entropy, measured, radius_of_gyration
from atoll.workloads.mobility.trajectories import Trajectories

TOWN = city(20)


def test_radius_of_gyration_by_hand() -> None:
    # Two visits 2 apart are 1 from their centre; a square of side 2 has its corners at the root of 2 from it.
    places = [(0, 0), (2, 0), (0, 0), (0, 2), (2, 2), (2, 0), (5, 5)]
    assert radius_of_gyration(places, [0, 0, 1, 1, 1, 1, 2]).tolist() == pytest.approx([1, math.sqrt(2), 0])


def test_location_entropy_by_hand() -> None:
    found = location_entropy([3, 3, 0, 0, 1, 1, 0, 1, 1, 1], [0, 0, 1, 1, 1, 1, 2, 2, 2, 2])
    uneven = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert found.tolist() == pytest.approx([0, math.log(2), uneven])
    assert math.copysign(1, found[0]) == 1


@given(value=trajectories(least=1))
def test_everything_against_loops(value: Trajectories) -> None:
    # Few users, so that most have several trajectories.
    users = value.user % 3
    value = Trajectories(users, *(getattr(value, name) for name in Trajectories.__match_args__[1:]))
    found = measured(value, TOWN)
    places = TOWN.places.astype(np.float64)
    for user in set(users.tolist()):
        mine = [i for i in range(len(value)) if users[i] == user]
        visited = [location for i in mine for location in value.window(i).location.tolist()]
        centre = places[visited].mean(0)
        radius = math.sqrt(sum(math.dist(places[location], centre) ** 2 for location in visited) / len(visited))
        shares = [count / len(visited) for count in Counter(visited).values()]
        entropy = -sum(share * math.log(share) for share in shares)
        assert found.radius[mine].tolist() == pytest.approx([radius] * len(mine), rel=1e-5, abs=1e-6)
        assert found.entropy[mine].tolist() == pytest.approx([entropy] * len(mine), rel=1e-5, abs=1e-6)
    for i in range(len(value)):
        where = value.window(i).location.tolist()
        apart = [math.dist(places[a], places[b]) for a, b in itertools.pairwise(where)]
        assert found.window(i).jump.tolist() == pytest.approx([0, *apart], rel=1e-5)
    for name in ("user", "start", "location", "day", "slot", "wait"):
        assert getattr(found, name) is getattr(value, name) or np.array_equal(
            getattr(found, name), getattr(value, name)
        )


@given(value=trajectories(), shift=st.integers(0, 19))
def test_measuring_twice_changes_nothing(value: Trajectories, shift: int) -> None:
    once = measured(value, TOWN)
    assert same(measured(once, TOWN), once)


def test_a_location_that_is_not_there() -> None:
    value = Trajectories.concatenate([])
    assert measured(value, TOWN) is value
    two = np.zeros(2)
    columns = dict.fromkeys(("day", "slot"), two.astype(np.int8)) | dict.fromkeys(("wait", "jump"), two)
    head = {"user": np.array([1]), "radius": two[:1], "entropy": two[:1], "start": np.array([0, 2])}
    bad = Trajectories(location=np.array([3, 20]), **head, **columns)  # type: ignore[arg-type]
    with pytest.raises(IndexError, match="locations 0 to 19"):
        jumps(bad, TOWN)
