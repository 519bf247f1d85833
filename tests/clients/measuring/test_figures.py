"""Figures of records: no record moves one by more than its weight, whatever a model does to it."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from atoll.clients.measuring.figures import (
    anchor_figure,
    audit_figures,
    loss_figure,
    loss_weight,
    score_figure,
    score_names,
    share_figures,
)
from atoll.clients.measuring.policy import MeasuringPolicy
from atoll.clients.measuring.records import Row
from atoll.clients.measuring.rounding import Coarsening, deviation, step_of
from atoll.errors import FederationError

POLICY = MeasuringPolicy(noise=0.0)
SECRET = b"s" * 32
ROUGH = Coarsening(policy=POLICY, secret=SECRET, version="v")
EXACT = Coarsening(policy=MeasuringPolicy(step_documents=1, noise=0.0, step=1e-6), secret=SECRET, version="v")
NOISY = Coarsening(policy=MeasuringPolicy(step=1e-6), secret=SECRET, version="v")
LOSSES = st.floats(allow_nan=True, allow_infinity=True)


def rows(losses: list[float], count: int = 10) -> list[Row]:
    return [Row(loss=loss * count, count=count) for loss in losses]


@given(st.lists(st.floats(0, 20), min_size=20, max_size=60), st.data(), LOSSES)
def test_one_record_moves_a_loss_by_its_weight_at_most(base: list[float], data: st.DataObject, wild: float) -> None:
    """Whatever the model makes of that record: an amplified token counts as ``clip`` nats a token of one record."""
    model = [loss + data.draw(st.floats(-2, 2)) for loss in base]
    place = data.draw(st.integers(0, len(base) - 1))
    other = [*model[:place], wild, *model[place + 1 :]]
    one, two = (loss_figure(rows(each), rows(base), "q", ROUGH) for each in (model, other))
    step = step_of(loss_weight(len(base), POLICY), POLICY)
    assert math.isfinite(one)
    assert math.isfinite(two)
    assert abs(one - two) <= 2 * POLICY.clip / len(base) + step + 1e-9


@given(st.lists(st.floats(0, 20), min_size=20, max_size=60), st.lists(LOSSES, min_size=60, max_size=60))
def test_losses_lie_within_the_clip_of_the_anchors_and_on_the_grid(base: list[float], wild: list[float]) -> None:
    step = step_of(loss_weight(len(base), POLICY), POLICY)
    found, anchor = (loss_figure(rows(each), rows(base), "q", ROUGH) for each in (wild[: len(base)], base))
    assert abs(found - anchor) <= POLICY.clip + step
    assert (found / step) == pytest.approx(round(found / step), abs=1e-5)
    assert step >= max(POLICY.step, 2 * POLICY.clip / len(base))


def test_records_count_alike_however_long_they_are() -> None:
    base = rows([2.0] * 20)
    model = [*rows([1.5] * 19), Row(loss=2.9 * 10_000, count=10_000)]
    assert loss_figure(model, base, "q", EXACT) == pytest.approx(2.0 + (19 * -0.5 + 0.9) / 20, abs=0.06)


@pytest.mark.parametrize("row", [Row(loss=math.nan, count=3), Row(loss=math.inf, count=3), Row(loss=1.0, count=0)])
def test_a_model_that_gives_no_number_is_as_bad_as_can_be(row: Row) -> None:
    assert loss_figure([row] * 20, rows([2.0] * 20), "q", ROUGH) == pytest.approx(3.0)


def test_shares_are_means_over_records() -> None:
    made = [Row(loss=1, count=1, shares=[0.25, 0.75])] * 39 + [Row(loss=1, count=1, shares=[1.0, 0.0])]
    found = share_figures(made, ["anchor", "court"], "q", EXACT)
    assert found == pytest.approx({"anchor": 0.275, "court": 0.725}, abs=4 / 80)
    assert share_figures(rows([1.0] * 20), [], "q", EXACT) == {}
    with pytest.raises(FederationError, match="shares"):
        share_figures([*made, Row(loss=1, count=1)], ["anchor", "court"], "q", EXACT)


def test_scores_without_records_are_left_out() -> None:
    held = [Row(loss=1, count=2, scores={"accuracy@1": 1.0})] * 20
    assert score_figure("accuracy@1", held, 0, "q", EXACT, fewest=20) == (0.5, "")
    assert score_figure("mrr", held, 0, "q", EXACT, fewest=20)[0] is None
    assert score_figure("accuracy@1", [*held, Row(loss=1, count=1)], 0, "q", EXACT, fewest=20)[0] is None
    assert score_figure("wild", [Row(loss=1, count=1, scores={"wild": 1e9})] * 20, 0, "q", EXACT, fewest=20) == (
        1.0,
        "",
    )


def classified(positive: int, negative: int, group: int = 0) -> list[Row]:
    """Rows of two classes that a model tells apart; the first ones are also of a group."""
    found = []
    for number in range(positive + negative):
        side, place = ("positive", 1500) if number < positive else ("negative", 500)
        scores = {f"{side}/1/{place}": 1.0, "accuracy": 1.0, "hits/0": 1.0, "confidence/0": 1.0}
        scores |= {f"{side}@sex=F/1/{place}": 1.0} if number < group else {}
        found.append(Row(loss=0.1, count=1, scores=scores))
    return found


def test_areas_are_made_of_the_records_and_never_finer_than_one_of_the_rarer_class() -> None:
    assert score_figure("auroc", classified(30, 30), 2, "q", EXACT, fewest=20) == (1.0, "")
    one = classified(1, 59)
    one[0] = Row(loss=1, count=1, scores={"positive/1/500": 1.0})
    assert score_figure("auroc", one, 2, "q", EXACT, fewest=20)[0] in (0.0, 1.0), "one positive: half is not told"
    assert score_figure("ece", classified(30, 30), 2, "q", EXACT, fewest=20) == (0.0, "")


def test_rates_and_groups_rest_on_enough_records_of_their_own() -> None:
    assert score_figure("tpr", classified(19, 60), 2, "q", EXACT, fewest=20)[0] is None
    assert score_figure("auroc@sex=F", classified(30, 30, group=19), 2, "q", EXACT, fewest=20)[0] is None
    assert score_figure("auroc@sex=F", classified(30, 30, group=50), 2, "q", EXACT, fewest=20)[0] == 1.0


def test_an_audits_figures_are_rounded_and_told_by_name() -> None:
    found = {"membership_loss_auc": 0.51234, "membership_loss_low": math.nan, "secret": 1.0}
    assert audit_figures(found, ["membership_*"], 20, POLICY) == {"membership_loss_auc": 0.5}


def test_names_are_matched_against_the_patterns() -> None:
    assert score_names(["accuracy@1", "auroc@sex=F", "accuracy@1"], ["accuracy@*", "auroc"]) == ["accuracy@1"]


def test_what_is_told_of_one_record_is_that_of_gaussian_privacy() -> None:
    """A model that equals the anchor but on one record: B figures of it are N(√B / k, 1), and no certainty.

    The records' other parts are known exactly, as to whoever made the placebo.
    """
    base, questions = rows([2.0] * 50), [f"q{number}" for number in range(4000)]
    amplified = [*rows([2.0] * 49), Row(loss=0.0, count=10)]
    apart = []
    for model in (base, amplified):
        made = [loss_figure(model, base, question, NOISY) - anchor_figure(base, NOISY) for question in questions]
        apart.append(np.array(made) / (NOISY.policy.noise * loss_weight(50, NOISY.policy)))
    assert float(np.std(apart[0])) == pytest.approx(1.0, abs=0.05)
    assert float(np.mean(apart[0] - apart[1])) == pytest.approx(1 / NOISY.policy.noise, abs=0.03)
    assert float(np.mean(apart[0])) == pytest.approx(0.0, abs=0.06)


def test_noise_is_the_nodes_own_and_of_one_question() -> None:
    other = replace(NOISY, secret=b"t" * 32)
    draws = [
        each.noise(question, name, 1.0)
        for each in (NOISY, other, replace(NOISY, version="w"))
        for question in ("a", "b")
        for name in ("loss", "accuracy")
    ]
    assert len(set(draws)) == len(draws)
    assert NOISY.noise("a", "loss", 1.0) == draws[0]
    assert ROUGH.noise("a", "loss", 1.0) == 0.0


def test_noise_grows_with_what_was_told_so_that_the_whole_budget_tells_little() -> None:
    policy = MeasuringPolicy()
    told = [sum(deviation(rank, policy) ** -2 for rank in range(1, budget + 1)) for budget in (1, 32, policy.figures)]
    for budget, square in zip((1, 32, policy.figures), told, strict=True):
        assert square <= policy.noise_after / policy.noise**2 * math.log(1 + budget / policy.noise_after)
    # True positives at 1 % false ones, of a document on which all of the budget is spent.
    rates = [norm.cdf(math.sqrt(square) - norm.ppf(0.99)) for square in told]
    assert rates == pytest.approx([0.018, 0.075, 0.154], abs=0.001)


def test_later_figures_have_more_noise_of_the_same_draw() -> None:
    later = replace(NOISY, ranks={("q", "loss"): 3 * NOISY.policy.noise_after})
    assert later.noise("q", "loss", 1.0) == pytest.approx(2 * NOISY.noise("q", "loss", 1.0))
    assert later.noise("q", "accuracy", 1.0) == NOISY.noise("q", "accuracy", 1.0)


def test_a_model_that_does_what_the_anchor_does_has_its_noise_all_the_same() -> None:
    base = rows([2.0] * 50)
    assert loss_figure(base, base, "q", NOISY) != anchor_figure(base, NOISY)
