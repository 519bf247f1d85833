import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.workloads.mobility.samples import COLUMNS, same, trajectories

from atoll.errors import DataError
from atoll.workloads.mobility.trajectories import Trajectories


def three() -> Trajectories:
    return Trajectories(
        *(np.array(values) for values in ([7, 8, 7], [1.0, 2, 3], [0.5, 0, 1], [0, 2, 3, 6])),
        *(np.arange(6) for _ in range(3)),
        *(np.arange(6, dtype=np.float32) for _ in range(2)),
    )


def rows(value: Trajectories) -> list[list[object]]:
    """Every trajectory as plain Python values."""
    return [
        [field if not isinstance(field, np.ndarray) else field.tolist() for field in value.window(i)]
        for i in range(len(value))
    ]


def test_types_and_sizes() -> None:
    found = three()
    assert (len(found), found.visits, found.lengths.tolist()) == (3, 6, [2, 1, 3])
    kinds = [getattr(found, name).dtype.name for name in COLUMNS]
    assert kinds == ["int64", "float32", "float32", "int64", "int32", "int8", "int8", "float32", "float32"]
    assert np.flatnonzero(found.first).tolist() == [0, 2, 3]


def test_a_window_is_a_view() -> None:
    found = three()
    window = found.window(2)
    assert (window.user, window.radius, window.entropy) == (7, 3, 1)
    assert window.location.tolist() == [3, 4, 5]
    assert np.shares_memory(window.jump, found.jump)
    with pytest.raises(IndexError, match="trajectories 0 to 2, not -1"):
        found.window(-1)


@given(value=trajectories(least=1), data=st.data())
def test_select_is_row_by_row(value: Trajectories, data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.integers(0, len(value) - 1), max_size=8))
    everything = rows(value)
    assert rows(value.select(chosen)) == [everything[index] for index in chosen]


@given(value=trajectories(), data=st.data())
def test_a_mask_selects(value: Trajectories, data: st.DataObject) -> None:
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(value), max_size=len(value))), dtype=np.bool_)
    assert same(value.select(mask), value.select(np.flatnonzero(mask)))


@given(parts=st.lists(trajectories(), max_size=4))
def test_concatenate_is_row_after_row(parts: list[Trajectories]) -> None:
    assert rows(Trajectories.concatenate(parts)) == [row for part in parts for row in rows(part)]


@given(value=trajectories(), length=st.integers(1, 14))
def test_cutting_keeps_all_visits(value: Trajectories, length: int) -> None:
    found = value.cut(length)
    assert not len(found) or found.lengths.max() <= length
    for name in ("location", "day", "slot"):
        np.testing.assert_array_equal(getattr(found, name), getattr(value, name))
    kept = ~found.first | value.first
    np.testing.assert_array_equal(found.jump[kept], value.jump[kept])
    assert not found.jump[~kept].any()
    assert not found.wait[~kept].any()
    owner = np.repeat(value.user, -(-value.lengths // length))
    np.testing.assert_array_equal(found.user, owner)
    # As few pieces as there can be, and only the last of each is shorter.
    assert len(found) == len(owner)


def test_what_is_cut_is_not_changed() -> None:
    found = three()
    before = found.wait.copy()
    found.cut(2)
    np.testing.assert_array_equal(found.wait, before)


@pytest.mark.parametrize("indices", [[3], [-1], [True]])
def test_no_such_trajectory(indices: list[int]) -> None:
    with pytest.raises(IndexError, match=r"trajectories 0 to 2|a mask over 1"):
        three().select(indices)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("start", [0, 2, 2, 6], "start must rise"),
        ("start", [1, 2, 3, 6], "start must rise"),
        ("start", [0, 2, 3, 5], "start must rise"),
        ("start", [], "start must rise"),
        ("user", [1, 2], "user has 2 values instead of 3"),
        ("user", [1.0, 2.0, 3.0], "user holds float64; it must hold whole numbers"),
        ("day", [0, 1, 2, 3, 4, 7], "day number 5 is out of its range"),
        ("slot", [0, 48, 2, 3, 4, 7], "slot number 1 is out of its range"),
        ("day", [0, 256, 2, 3, 4, 5], "day number 1 is out"),
        ("location", [0, -1, 2, 3, 4, 5], "location number 1 is out"),
        ("location", [0, 2**31, 2, 3, 4, 5], "location number 1 is out"),
        ("wait", [0, 1, 2, np.nan, 4, 5], "wait number 3 is out"),
        ("jump", [0, 1, np.inf, 3, 4, 5], "jump number 2 is out"),
        ("jump", [0, 1, 1e300, 3, 4, 5], "jump number 2 is out"),
        ("jump", [0, 1, -2.0, 3, 4, 5], "jump number 2 is out"),
        ("radius", [[0.0], [1], [2]], "radius must be one-dimensional"),
        ("entropy", ["a", "b", "c"], "entropy holds <U1"),
    ],
)
def test_impossible_values(name: str, values: list[object], message: str) -> None:
    good = {column: getattr(three(), column) for column in COLUMNS}
    with pytest.raises(DataError, match=message):
        Trajectories(**{**good, name: np.array(values)})
