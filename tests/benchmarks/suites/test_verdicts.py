"""Significance, agreement with a paper, and bounds, on figures made by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from atoll.benchmarks.suites.published import agreement
from atoll.benchmarks.suites.verdicts import LEVEL, Difference, difference, holm
from atoll.continual import paired_probability, spread_of


def made(probability: float | None, mean: float = 1.0) -> Difference:
    spread = spread_of([mean])
    assert spread is not None
    return Difference(case="", metric="m", better="a", than="b", spread=spread, probability=probability, holds=False)


@given(st.lists(st.floats(-5, 5), min_size=3, max_size=12))
def test_the_paired_test_is_scipys(differences: list[float]) -> None:
    if np.std(differences) < 1e-6:
        return
    expected = stats.ttest_1samp(differences, 0.0).pvalue
    assert paired_probability(differences) == pytest.approx(expected, abs=1e-9)


def test_two_seeds_prove_nothing_and_equal_differences_everything() -> None:
    assert paired_probability([1.0, 1.0]) is None
    assert paired_probability([0.2, 0.2, 0.2]) == 0.0
    assert paired_probability([0.0, 0.0, 0.0]) == 1.0


def test_holms_procedure_stops_at_the_first_that_fails() -> None:
    tested = [made(0.04), made(0.001), made(0.02), made(None)]
    # Thresholds in order: 0.05/4 = 0.0125, 0.05/3 = 0.0167: 0.02 fails, and with it all above.
    assert [one.holds for one in holm(tested)] == [False, True, False, False]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_never_holds_more_than_plain_testing_nor_less_than_bonferroni(chances: list[float]) -> None:
    found = [one.holds for one in holm([made(chance) for chance in chances])]
    for chance, holds in zip(chances, found, strict=True):
        assert not holds or chance <= LEVEL
        assert holds or chance > LEVEL / len(chances)


def test_a_significant_loss_is_no_win() -> None:
    assert [one.holds for one in holm([made(0.0, mean=-1.0)])] == [False]


def test_differences_are_paired_by_seed_and_turned_so_that_positive_is_better() -> None:
    found = {"a": {0: 1.0, 1: 2.0, 2: 4.0}, "b": {1: 3.0, 2: 6.0, 3: 9.0}}
    lower = difference(found, "a", "b", "", "loss", higher=False)
    assert lower is not None
    assert lower.spread.seeds == 2
    assert lower.spread.mean == pytest.approx(1.5)
    assert difference(found, "a", "nobody", "", "loss", higher=False) is None


def test_agreement_counts_pairs_and_names_those_that_clearly_differ() -> None:
    theirs = {"ewc": 20.0, "lwf": 24.0, "replay": 91.0, "elsewhere": 3.0}
    ours = {"ewc": 0.2, "lwf": 0.1, "replay": 0.8}
    clear = {("ewc", "lwf"): True, ("lwf", "replay"): True, ("ewc", "replay"): False}
    found = agreement(theirs, ours, clear)
    assert (found.pairs, found.agreeing, found.clear) == (3, 2, 2)
    assert found.against == (("lwf", "ewc"),)


@given(st.dictionaries(st.sampled_from("abcdef"), st.floats(-10, 10), min_size=2))
def test_a_table_agrees_with_itself(figures: dict[str, float]) -> None:
    found = agreement(figures, figures, dict.fromkeys([(a, b) for a in figures for b in figures], True))
    assert found.agreeing == found.pairs
    assert not found.against
    turned = {name: -value for name, value in figures.items()}
    assert agreement(figures, turned, {}, ours_higher=False).agreeing == found.pairs
    assert math.comb(len(figures), 2) >= found.pairs
