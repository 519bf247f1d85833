"""One concept gives way to the next where and as fast as it should."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("river")

from atoll.benchmarks.online.concepts import Drift, draw, quarters, shares


@given(st.lists(st.integers(0, 200), min_size=1, max_size=4), st.integers(1, 300))
def test_shares_are_probabilities(places: list[int], width: int) -> None:
    found = shares(tuple(Drift(at, width) for at in sorted(places)), 200)
    assert found.shape == (200, len(places) + 1)
    assert (found >= -1e-12).all()
    np.testing.assert_allclose(found.sum(1), 1)


def test_abrupt_drifts_make_blocks() -> None:
    # river's own stream overflows here.
    concepts = draw(quarters(40_000, 1), 40_000, seed=0)
    for concept in range(4):
        inside = concepts[concept * 10_000 + 5 : (concept + 1) * 10_000 - 5]
        assert set(inside) == {concept}


def test_gradual_drifts_mix_two_concepts_and_are_half_way_in_their_middle() -> None:
    drifts = quarters(4000, 200)
    assert shares(drifts, 4000)[1000].tolist() == pytest.approx([0.5, 0.5, 0, 0], abs=1e-6)
    drawn = np.array([draw(drifts, 4000, seed)[900:1100] for seed in range(50)])
    expected = shares(drifts, 4000)[900:1100, 1]
    assert np.abs((drawn == 1).mean() - expected.mean()) < 0.02
    assert set(np.unique(drawn)) == {0, 1}
    assert (drawn[:, :20] == 1).mean() < (drawn[:, -20:] == 1).mean()
