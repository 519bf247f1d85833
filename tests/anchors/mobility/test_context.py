"""The mobility context: causal, finite, and of the order of one for a day in somebody's life."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from atoll.anchors.mobility.context import WIDTH, city_features, context_features

MODEST = settings(max_examples=50, deadline=None)
waits = st.lists(st.floats(0, 144, width=32), min_size=1, max_size=12)
jumps = st.lists(st.floats(0, 20_000, width=32), min_size=12, max_size=12)


def features(wait: list[float], jump: list[float], radius: float = 5.0, entropy: float = 1.5) -> Tensor:
    columns = torch.tensor([wait]), torch.tensor([jump[: len(wait)]])
    return context_features(*columns, torch.tensor([radius]), torch.tensor([entropy]))


@MODEST
@given(wait=waits, jump=jumps, cut=st.integers(1, 12))
def test_a_position_sees_only_itself_and_earlier_ones(wait: list[float], jump: list[float], cut: int) -> None:
    whole = features(wait, jump)
    assert whole.shape == (1, len(wait), WIDTH)
    assert bool(torch.isfinite(whole).all())
    assert torch.allclose(features(wait[:cut], jump[:cut]), whole[:, :cut], atol=1e-5)


@MODEST
@given(wait=waits, jump=jumps)
def test_running_values_are_those_of_the_visits_so_far(wait: list[float], jump: list[float]) -> None:
    last = len(wait) - 1
    logs = torch.tensor(jump[1 : len(wait)]).log1p()
    mean, highest = (float(logs.mean()), float(logs.max())) if last else (0.0, 0.0)
    highest = max(highest, float(torch.tensor(jump[0]).log1p()))
    found = features(wait, jump)[0, last]
    alone = features([0.0, 0.0], [0.0, torch.tensor(mean).expm1().item()])[0, 1]
    assert torch.allclose(found[5], alone[5], atol=1e-3)
    assert torch.allclose(found[7], features([0.0], [torch.tensor(highest).expm1().item()])[0, 0, 7], atol=1e-3)


def test_every_feature_moves_with_what_it_is_of() -> None:
    base = features([0.0, 2.0, 4.0], [0.0, 1.0, 3.0])[0, -1]
    for changed, columns in (
        (features([0.0, 2.0, 4.0], [0.0, 1.0, 3.0], radius=9.0), {0}),
        (features([0.0, 2.0, 4.0], [0.0, 1.0, 3.0], entropy=2.0), {1}),
        (features([0.0, 2.0, 9.0], [0.0, 1.0, 3.0]), {2, 4, 6}),
        (features([0.0, 2.0, 4.0], [0.0, 1.0, 9.0]), {3, 5, 7}),
        (features([0.0, 9.0, 4.0], [0.0, 1.0, 3.0]), {4, 6}),
    ):
        assert set((changed[0, -1] != base).nonzero().flatten().tolist()) == columns


def test_an_ordinary_day_is_of_the_order_of_one() -> None:
    day = features([0.0, 4.0, 1.0, 8.0, 2.0], [0.0, 3.0, 0.5, 4.0, 1.0], radius=4.0, entropy=1.6)
    assert float(day[:, 2:].abs().max()) < 2.0


def test_cities_that_are_nearly_alike_can_be_told_apart() -> None:
    places = torch.randn(200, 32, generator=torch.Generator().manual_seed(0)) + 3 * torch.arange(32)
    alike, other = places + 0.1 * torch.randn(32, generator=torch.Generator().manual_seed(1)), places.flip(1)
    ours, near, far = (city_features(table) / 32**0.5 for table in (places, alike, other))
    again = city_features(places.flip(0)) / 32**0.5
    assert torch.allclose(ours, again, atol=1e-3), "the order of the locations means nothing"
    assert float(ours @ ours) == pytest.approx(1, abs=0.3)
    assert abs(float(ours @ far)) < 0.5
    assert float(ours @ near) > float(ours @ far)
