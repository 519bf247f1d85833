from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.continual.streams import stream

from atoll.continual import Summary, paired_difference, spread, summarize
from atoll.continual.student import quantile, within
from atoll.errors import DataError


def run(accuracy: float, forgotten: float = 0.1) -> Summary:
    return summarize(stream([[0.0, 0.0], [accuracy + forgotten, 0.0], [accuracy, accuracy]]))


@pytest.mark.parametrize(
    ("freedom", "expected"),
    [(1, 12.706204736), (2, 4.302652730), (3, 3.182446305), (9, 2.262157163), (30, 2.042272456)],
)
def test_quantiles_of_the_tables(freedom: int, expected: float) -> None:
    assert quantile(0.975, freedom) == pytest.approx(expected, rel=1e-9)


@given(st.integers(1, 60), st.floats(0.51, 0.9999))
def test_quantile_is_the_inverse(freedom: int, probability: float) -> None:
    assert within(quantile(probability, freedom), freedom) == pytest.approx(2 * probability - 1, abs=1e-12)


def test_spread_by_hand() -> None:
    found = spread({0: run(0.7), 1: run(0.8), 2: run(0.9)})["average_final"]
    assert found is not None
    half = 4.302652730 * 0.1 / np.sqrt(3)
    assert found.mean == pytest.approx(0.8)
    assert found.deviation == pytest.approx(0.1)
    assert found.low == pytest.approx(0.8 - half)
    assert found.high == pytest.approx(0.8 + half)
    assert (found.seeds, found.confidence) == (3, 0.95)


def test_intervals_cover_as_often_as_they_say() -> None:
    draws = np.random.default_rng(0).normal(0.5, 0.1, (400, 3)).clip(0.01, 0.99)
    found = [spread({seed: run(float(x), 0.0) for seed, x in enumerate(row)}, 0.8)["average_final"] for row in draws]
    covered = np.mean([each is not None and each.low is not None and each.low < 0.5 < each.high for each in found])  # type: ignore[operator]
    assert covered == pytest.approx(0.8, abs=0.05)


def test_fewer_than_three_seeds_have_no_interval() -> None:
    two = spread({0: run(0.7), 1: run(0.8)})["average_final"]
    assert two is not None
    assert two.deviation == pytest.approx(0.05 * np.sqrt(2))
    assert two.low is two.high is None
    one = spread({0: run(0.7)})["average_final"]
    assert one is not None
    assert one.deviation is one.low is None


def test_a_figure_that_a_seed_lacks_is_undefined() -> None:
    found = spread({0: run(0.7), 1: replace(run(0.7), forgetting_max=None), 2: run(0.7)})
    assert found["forgetting_max"] is None
    assert found["share_of_joint"] is None
    assert found["forgetting_first"] is not None


def test_pairs_cancel_what_the_seed_does() -> None:
    ours = {seed: run(0.5 + seed / 10) for seed in range(4)}
    theirs = {seed: run(0.4 + seed / 10) for seed in reversed(range(4))}
    found = paired_difference(ours, theirs)["average_final"]
    assert found is not None
    assert found.mean == pytest.approx(0.1)
    assert found.deviation == pytest.approx(0, abs=1e-12)
    assert found.low == pytest.approx(0.1)
    back = paired_difference(theirs, ours)["average_final"]
    assert back is not None
    assert back.mean == pytest.approx(-0.1)
    alone = spread(ours)["average_final"]
    assert alone is not None
    assert alone.deviation is not None
    assert alone.deviation > 0.1


def test_what_cannot_be_compared_is_refused() -> None:
    runs = {0: run(0.7), 1: run(0.8)}
    with pytest.raises(DataError, match="one run or more"):
        spread({})
    with pytest.raises(DataError, match=r"confidence 1 is not"):
        spread(runs, 1)
    with pytest.raises(DataError, match="share metric and stream"):
        spread({0: run(0.7), 1: replace(run(0.7), metric="loss")})
    with pytest.raises(DataError, match="seed 1"):
        paired_difference(runs, {0: run(0.7)})
    with pytest.raises(DataError, match="same stream"):
        paired_difference({0: run(0.7)}, {0: replace(run(0.7), silos=3)})
