import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll.benchmarks.clinical.fairness import between_groups, over_sites

RATES = st.dictionaries(st.sampled_from("abcd"), st.floats(0, 1), min_size=1)


@given(RATES)
def test_the_gap_is_best_less_worst_and_no_site_is_left_out(rates: dict[str, float]) -> None:
    found = over_sites({"auroc": rates, "other": rates})
    assert set(found) == {"auroc/mean", "auroc/gap"}
    assert found["auroc/gap"] == max(rates.values()) - min(rates.values())
    assert min(rates.values()) - 1e-9 <= found["auroc/mean"] <= max(rates.values()) + 1e-9


def test_a_site_that_does_not_define_a_figure_is_not_counted() -> None:
    assert over_sites({"auroc": {"a": 0.5, "b": math.nan, "c": 0.7}})["auroc/mean"] == pytest.approx(0.6)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), min_size=1, max_size=4))
def test_pooled_rates_are_positives_found_over_positives(sites: list[tuple[int, int]]) -> None:
    held = {str(place): count for place, (_, count) in enumerate(sites)}
    caught = {str(place): min(found, count) / count for place, (found, count) in enumerate(sites)}
    groups = {"sex=f": caught, "sex=m": dict.fromkeys(caught, 1.0)}
    found = between_groups(groups, dict.fromkeys(groups, held), "sex")
    whole = sum(min(found, count) for found, count in sites) / sum(held.values())
    assert found["tpr@sex=f/pooled"] == pytest.approx(whole)
    assert found["tpr/sex gap"] == pytest.approx(1 - whole)


def test_a_site_without_positives_of_a_group_says_nothing() -> None:
    rates = {"sex=f": {"a": 0.5, "b": math.nan}, "sex=m": {"a": 0.75, "b": 1.0}}
    counts = {"sex=f": {"a": 4, "b": 0}, "sex=m": {"a": 4, "b": 4}}
    assert between_groups(rates, counts, "sex")["tpr/sex gap"] == pytest.approx(0.375)
