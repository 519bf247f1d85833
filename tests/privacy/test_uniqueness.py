"""Uniqueness: counts against plain sets, runs against plain search, copies against strangers."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from atoll.errors import DataError
from atoll.privacy.attacks import nearest_scores
from atoll.privacy.membership import auc
from atoll.privacy.uniqueness import Traces, longest_runs, matches, overlap, point_distances, uniqueness

Points = list[tuple[int, int]]
TRACES = st.lists(
    st.tuples(st.integers(0, 2), st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1)), max_size=7)), max_size=6
)


def _traces(found: list[tuple[int, Points]]) -> Traces:
    points = [point for _, trajectory in found for point in trajectory]
    return Traces(
        user=np.array([user for user, _ in found], np.int64),
        start=np.cumsum([0, *(len(trajectory) for _, trajectory in found)]),
        location=np.array([location for location, _ in points], np.int32),
        slot=np.array([slot for _, slot in points], np.int8),
    )


@given(TRACES, TRACES, st.integers(1, 3), st.integers(0, 9))
def test_matches_are_people_who_were_at_all_points_of_some_draw(
    asked: list[tuple[int, Points]], real: list[tuple[int, Points]], points: int, seed: int
) -> None:
    been: dict[int, set[tuple[int, int]]] = {}
    for user, trajectory in real:
        been.setdefault(user, set()).update(trajectory)
    for (_, trajectory), found in zip(asked, matches(_traces(asked), _traces(real), seed, points=points), strict=True):
        draws = list(itertools.combinations(sorted(set(trajectory)), points))
        possible = {sum(set(draw) <= places for places in been.values()) for draw in draws}
        assert found in (possible or {-1})


@given(TRACES, TRACES)
def test_runs_are_the_longest_that_some_trajectory_has(
    asked: list[tuple[int, Points]], real: list[tuple[int, Points]]
) -> None:
    def runs(trajectory: Points) -> set[tuple[tuple[int, int], ...]]:
        return {tuple(trajectory[i:j]) for j in range(len(trajectory) + 1) for i in range(j + 1)}

    there = set().union(*(runs(trajectory) for _, trajectory in real), {()})
    expected = [max(len(run) for run in runs(trajectory) & there) for _, trajectory in asked]
    assert longest_runs(_traces(asked), _traces(real)).tolist() == expected


@given(TRACES, TRACES)
def test_distances_are_jaccards(asked: list[tuple[int, Points]], real: list[tuple[int, Points]]) -> None:
    found = point_distances(_traces(asked), _traces(real))
    assert found.shape == (len(asked), len(real))
    for (_, a), row in zip(asked, found.tolist(), strict=True):
        for (_, b), distance in zip(real, row, strict=True):
            assert distance == pytest.approx(1 - len(set(a) & set(b)) / max(1, len(set(a) | set(b))), abs=1e-6)


def _city(people: int, seed: int, first: int = 0, days: int = 3) -> Traces:
    """People with five places of their own among two hundred, some shared by many; a day is a trajectory."""
    rng = np.random.default_rng(seed)
    found: list[tuple[int, Points]] = []
    for person in range(first, first + people):
        places = np.minimum(rng.zipf(1.3, 5), 200)
        for _ in range(days):
            found.append((person, [(int(rng.choice(places)), slot) for slot in range(0, 48, 3)]))
    return _traces(found)


def test_copied_trajectories_stand_out_against_strangers() -> None:
    train, strangers = _city(60, 0), _city(40, 1, first=100)
    copied = uniqueness(train, strangers, train, seed=2)
    fresh = uniqueness(_city(40, 3), strangers, train, seed=2)
    assert copied.generated.matched == 1
    assert copied.generated.unique > 0.7
    assert copied.generated.run_longest == 16
    assert copied.generated.run_mean == 16
    assert copied.baseline == fresh.baseline
    assert fresh.generated.matched < 0.4
    assert fresh.generated.matched_low < fresh.baseline.matched_high
    assert fresh.baseline.matched_low < fresh.generated.matched_high
    assert copied.generated.matched_low > copied.baseline.matched_high
    assert fresh.generated.run_mean < 8


def test_more_points_single_out_more_people() -> None:
    train = _city(80, 0)
    unique = [overlap(train, train, seed=0, points=points).unique for points in (1, 2, 4, 8)]
    assert unique == sorted(unique)
    assert unique[0] < 0.3 < 0.8 < unique[-1]


def test_one_trajectory_a_person_is_asked_about() -> None:
    train, asked = _city(30, 0), _city(20, 1, first=100)
    assert overlap(asked, train, seed=0).trajectories == 20
    assert uniqueness(asked, asked, train, seed=0).generated.trajectories == 60


def test_a_person_is_matched_by_all_of_its_trajectories_together() -> None:
    real = _traces([(7, [(1, 0), (2, 1)]), (7, [(3, 2), (4, 3)]), (8, [(1, 0), (4, 3)])])
    asked = _traces([(0, [(1, 0), (2, 1), (3, 2), (4, 3)])])
    assert matches(asked, real, 0).tolist() == [1]
    assert longest_runs(asked, real).tolist() == [2]


def test_the_distance_feeds_membership_inference() -> None:
    members, others = _city(30, 0, days=1), _city(30, 1, days=1)
    published = Traces(
        user=members.user.repeat(5),
        start=np.arange(0, 5 * len(members.location) + 1, 16),
        location=members.location.reshape(-1, 16).repeat(5, 0).ravel(),
        slot=members.slot.reshape(-1, 16).repeat(5, 0).ravel(),
    )
    scores = [nearest_scores(point_distances(traces, published)) for traces in (members, others)]
    assert torch.equal(torch.from_numpy(scores[0]).abs(), torch.zeros(30, dtype=torch.float64))
    assert auc(*scores) == 1


def test_people_on_both_sides_are_refused() -> None:
    with pytest.raises(DataError, match="split by person"):
        uniqueness(_city(3, 0), _city(3, 1), _city(3, 2), seed=0)


def test_trajectories_with_too_few_points_are_refused() -> None:
    short = _traces([(0, [(1, 1)] * 9)])
    with pytest.raises(DataError, match="4 different points"):
        overlap(short, short, seed=0)


@pytest.mark.parametrize("start", [[0, 1], [0, 2, 1], [1, 1, 2], [0, 1, 9]])
def test_columns_that_do_not_fit_are_refused(start: list[int]) -> None:
    with pytest.raises(DataError, match="traces"):
        Traces(user=np.arange(2), start=np.array(start), location=np.arange(2), slot=np.arange(2))


def test_figures_are_named_by_side() -> None:
    figures = uniqueness(_city(3, 0), _city(3, 1, first=50), _city(3, 2), seed=0).figures()
    assert {"uniqueness_generated_unique", "uniqueness_baseline_run_longest"} <= set(figures)
    assert all(np.isfinite(value) for value in figures.values())
