import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.workloads.mobility.samples import city, trajectories

from atoll.errors import ConfigError
from atoll.workloads.mobility.batches import collate
from atoll.workloads.mobility.trajectories import Trajectories
from atoll.workloads.order import batch_indices, evaluation_indices

TOWN = city(20)


@settings(deadline=None)
@given(value=trajectories(least=1), data=st.data())
def test_each_row_is_one_trajectory(value: Trajectories, data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.integers(0, len(value) - 1), min_size=1, max_size=5))
    batch = collate(value, chosen, TOWN)
    longest = max(int(value.lengths[index]) for index in chosen)
    for name in ("location", "day", "slot", "wait", "jump", "mask"):
        assert batch[name].shape == (len(chosen), longest)
    for row, index in enumerate(chosen):
        window = value.window(index)
        length = len(window.location)
        assert batch["mask"][row].tolist() == [place < length for place in range(longest)]
        for name in ("location", "day", "slot", "wait", "jump"):
            assert batch[name][row, :length].tolist() == getattr(window, name).tolist()
            assert not batch[name][row, length:].any()
        assert batch["radius"][row] == window.radius
        assert batch["entropy"][row] == window.entropy


def test_types() -> None:
    value = Trajectories(*(np.array([1, 2]),) * 3, np.array([0, 1, 3]), *(np.array([1, 2, 3]),) * 5)
    batch = collate(value, [1, 0], TOWN)
    kinds = {name: str(tensor.dtype).removeprefix("torch.") for name, tensor in batch.items()}
    assert kinds == {
        **dict.fromkeys(("location", "day", "slot"), "int64"),
        **dict.fromkeys(("wait", "jump", "radius", "entropy", "locations"), "float32"),
        "mask": "bool",
    }
    assert torch.equal(batch["locations"], torch.tensor(TOWN.features))
    assert batch["locations"].data_ptr() == TOWN.features.ctypes.data


def test_a_batch_that_cannot_be() -> None:
    value = Trajectories(*(np.array([1]),) * 3, np.array([0, 1]), np.array([20]), *(np.array([1]),) * 4)
    with pytest.raises(ConfigError, match="no trajectories"):
        collate(value, [], TOWN)
    with pytest.raises(IndexError, match="trajectories 0 to 0, not 1 to 1"):
        collate(value, [1], TOWN)
    with pytest.raises(IndexError, match="city 'toy' has locations 0 to 19, not 20"):
        collate(value, [0], TOWN)


@given(count=st.integers(1, 60), size=st.integers(1, 20), seed=st.integers(0, 9), epochs=st.integers(1, 3))
def test_every_epoch_takes_each_once(count: int, size: int, seed: int, epochs: int) -> None:
    steps = -(-count * epochs // size)
    taken = [index for step in range(steps) for index in batch_indices(step, size, seed, count)]
    for epoch in range(epochs):
        assert sorted(taken[epoch * count : (epoch + 1) * count]) == list(range(count))


def test_orders_differ_by_seed_and_epoch() -> None:
    orders = [tuple(batch_indices(epoch, 50, seed, 50)) for seed in range(2) for epoch in range(2)]
    assert len(set(orders)) == 4
    assert batch_indices(3, 7, 5, 50) == batch_indices(3, 7, 5, 50)


def test_the_order_is_always_the_same() -> None:
    # A run that goes on after a kill, on another machine, must get what would have come.
    assert batch_indices(2, 6, 1, 10) == [4, 9, 7, 6, 2, 3]


@pytest.mark.parametrize(
    ("step", "size", "count", "message"), [(-1, 1, 1, "step=-1"), (0, 0, 1, "size=0"), (0, 1, 0, "count=0")]
)
def test_steps_that_cannot_be(step: int, size: int, count: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        batch_indices(step, size, 0, count)


@given(count=st.integers(0, 200), limit=st.integers(1, 250))
def test_evaluation_is_evenly_spaced(count: int, limit: int) -> None:
    found = evaluation_indices(count, limit)
    assert len(found) == min(count, limit)
    assert found == sorted(set(found))
    assert evaluation_indices(count) == list(range(count))
    gaps = np.diff(found)
    assert not len(gaps) or gaps.max() - gaps.min() <= 1
    with pytest.raises(ConfigError, match="limit=0"):
        evaluation_indices(count, 0)
