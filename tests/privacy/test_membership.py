"""Membership inference: areas by counting, intervals by simulation, scores that point the right way."""

from math import comb

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from atoll.errors import DataError
from atoll.privacy.attacks import calibrated_scores, loss_scores, nearest_scores, replay_scores
from atoll.privacy.intervals import clopper_pearson, tails
from atoll.privacy.membership import (
    auc,
    auc_interval,
    membership_report,
    per_person,
    true_positive_interval,
    true_positive_rate,
)

# Small whole numbers, so that ties are common.
SCORES = st.lists(st.integers(-4, 4), min_size=1, max_size=25).map(lambda found: np.array(found, dtype=np.float64))
Floats = NDArray[np.float64]


@given(SCORES, SCORES)
def test_the_area_is_the_share_of_ordered_pairs(members: Floats, others: Floats) -> None:
    pairs = [(x > y) + (x == y) / 2 for x in members for y in others]
    assert auc(members, others) == pytest.approx(np.mean(pairs))


@given(SCORES, SCORES)
def test_swapped_labels_give_the_other_side(members: Floats, others: Floats) -> None:
    assert auc(others, members) == pytest.approx(1 - auc(members, others))
    low, high = auc_interval(members, others)
    turned = auc_interval(others, members)
    assert turned == pytest.approx((1 - high, 1 - low), abs=2e-4)


@settings(max_examples=40)
@given(SCORES, SCORES)
def test_monotone_maps_change_nothing(members: Floats, others: Floats) -> None:
    def same(scores: Floats) -> Floats:
        return np.exp(scores / 2) - 7

    assert membership_report("loss", same(members), same(others)) == membership_report("loss", members, others)


@given(SCORES)
def test_the_same_scores_on_both_sides_are_chance(scores: Floats) -> None:
    assert auc(scores, scores) == pytest.approx(0.5)
    low, high = auc_interval(scores, scores)
    assert low <= 0.5 <= high


@settings(max_examples=40)
@given(SCORES, SCORES, st.sampled_from([0.01, 0.1, 0.5]))
def test_no_more_than_the_tolerated_are_accused_and_no_better_threshold_is_there(
    members: Floats, others: Floats, rate: float
) -> None:
    best = 0.0
    for threshold in (*members, *others, -np.inf):
        for accused, found in ((others > threshold, members > threshold), (others >= threshold, members >= threshold)):
            if accused.mean() <= rate:
                best = max(best, float(found.mean()))
    assert true_positive_rate(members, others, rate) == pytest.approx(best)
    low, high = true_positive_interval(members, others, rate)
    assert low <= best <= high


@pytest.mark.parametrize(("successes", "trials"), [(0, 7), (1, 7), (5, 12), (12, 12), (40, 100)])
def test_clopper_pearson_ends_where_the_tails_are_half_the_error(successes: int, trials: int) -> None:
    def chance(k: int, p: float) -> float:
        return comb(trials, k) * p**k * (1 - p) ** (trials - k)

    low, high = clopper_pearson(successes, trials)
    upper = sum(chance(k, low) for k in range(successes, trials + 1))
    lower = sum(chance(k, high) for k in range(successes + 1))
    assert upper == pytest.approx(0.025 if successes else 1)
    assert lower == pytest.approx(0.025 if successes < trials else 1)


def test_tails_are_the_binomial_ones() -> None:
    expected = [sum(comb(9, j) * 0.3**j * 0.7 ** (9 - j) for j in range(k, 10)) for k in range(10)]
    assert tails(9, 0.3) == pytest.approx(expected)
    assert list(tails(2, 0.0)) == [1, 0, 0]
    assert list(tails(2, 1.0)) == [1, 1, 1]


@pytest.mark.parametrize(("m", "n", "shift"), [(40, 40, 0.0), (15, 60, 1.0), (25, 25, 2.0)])
def test_the_area_lies_in_its_interval_as_often_as_stated(m: int, n: int, shift: float) -> None:
    rng = np.random.default_rng(3)
    true = float(torch.special.ndtr(torch.tensor(shift / 2**0.5, dtype=torch.float64)))
    inside = 0
    for _ in range(600):
        low, high = auc_interval(rng.normal(shift, 1, m), rng.normal(0, 1, n))
        inside += low <= true <= high
    # Three standard errors of a share of 0.95 in 600 runs are 0.027; logit DeLong is a little wide at the ends.
    assert 0.923 <= inside / 600 <= 0.99


@pytest.mark.parametrize(("n", "informative"), [(50, False), (800, True)])
def test_the_true_positive_rate_lies_in_its_interval_at_least_as_often_as_stated(n: int, informative: bool) -> None:
    rng = np.random.default_rng(4)
    threshold = 2.3263478740408408
    true = float(torch.special.ndtr(torch.tensor(1.5 - threshold, dtype=torch.float64)))
    found = [true_positive_interval(rng.normal(1.5, 1, 120), rng.normal(0, 1, n)) for _ in range(120)]
    assert np.mean([low <= true <= high for low, high in found]) >= 0.95
    # With few others it is not known where one in a hundred of them lies: nothing can be certified.
    assert all((low > 0) is informative for low, _ in found)


def test_taking_the_threshold_as_known_would_promise_too_much() -> None:
    rng = np.random.default_rng(4)
    true = float(torch.special.ndtr(torch.tensor(1.5 - 2.3263478740408408, dtype=torch.float64)))
    inside = 0
    for _ in range(120):
        members, others = rng.normal(1.5, 1, 120), rng.normal(0, 1, 50)
        low, high = clopper_pearson(round(120 * true_positive_rate(members, others)), 120)
        inside += low <= true <= high
    assert inside / 120 < 0.8


def test_separated_scores_are_certain_only_with_many_samples() -> None:
    few = auc_interval(np.ones(5), np.zeros(5))
    many = auc_interval(np.ones(500), np.zeros(500))
    assert few[1] == many[1] == 1
    assert few[0] < 0.8 < 0.99 < many[0]
    low, high = auc_interval(np.ones(1), np.zeros(1))
    assert low < 0.5 <= high


def test_many_samples_of_few_persons_do_not_narrow_the_interval() -> None:
    rng = np.random.default_rng(5)
    centres = rng.normal(0, 1, 40)
    persons = np.arange(40).repeat(50)
    scores = centres[persons] + rng.normal(0, 0.1, 2000)
    samples = membership_report("loss", scores[:1000], scores[1000:])
    people = membership_report(
        "loss", per_person(scores[:1000], persons[:1000]), per_person(scores[1000:], persons[1000:])
    )
    assert (people.members, people.non_members) == (20, 20)
    assert people.auc_high - people.auc_low > 4 * (samples.auc_high - samples.auc_low)
    assert people.auc_low < 0.5 < people.auc_high


def test_scores_a_person_are_means_in_the_order_of_numbers() -> None:
    assert per_person(np.array([1.0, 5, 3, 7]), np.array([9, 2, 9, 2])).tolist() == [6, 2]


def test_a_report_names_its_figures_for_the_card() -> None:
    found = membership_report("loss", np.array([2.0, 3]), np.array([0.0, 1, 1])).figures()
    assert found["membership_loss_auc"] == 1
    assert found["membership_loss_non_members"] == 3
    assert all(np.isfinite(value) for value in found.values())


@pytest.mark.parametrize("bad", [[], [float("nan"), 1.0], [[1.0]]])
def test_scores_that_are_none_are_refused(bad: list[float]) -> None:
    for pair in ((np.array(bad), np.ones(3)), (np.ones(3), np.array(bad))):
        for measured in (auc, auc_interval, true_positive_rate, true_positive_interval):
            with pytest.raises(DataError, match="membership: "):
                measured(*pair)


def test_infinite_losses_are_ranks_like_any_other() -> None:
    assert auc(loss_scores(np.array([0.1, 0.2])), loss_scores(np.array([np.inf, 5.0]))) == 1


def test_calibration_finds_members_among_samples_of_unlike_difficulty() -> None:
    rng = np.random.default_rng(6)
    difficulty = rng.normal(5, 2, 400)
    losses = difficulty + rng.normal(0, 0.1, 400)
    losses[:200] -= 0.4
    plain, calibrated = loss_scores(losses), calibrated_scores(losses, difficulty)
    assert auc(plain[:200], plain[200:]) < 0.65
    assert auc(calibrated[:200], calibrated[200:]) > 0.95
    with pytest.raises(DataError, match="reference"):
        calibrated_scores(losses, difficulty[1:])


def test_replay_that_copies_its_members_gives_them_away() -> None:
    generator = torch.Generator().manual_seed(0)
    members, others = torch.randn(2, 60, 8, generator=generator)
    copied = members.repeat(5, 1) + 0.05 * torch.randn(300, 8, generator=generator)
    fresh = torch.randn(300, 8, generator=generator)
    assert auc(replay_scores(members, copied), replay_scores(others, copied)) > 0.95
    low, high = auc_interval(replay_scores(members, fresh), replay_scores(others, fresh))
    assert low < 0.5 < high


@settings(max_examples=25)
@given(st.integers(1, 6), st.integers(0, 2**31))
def test_the_distance_is_the_mean_of_the_nearest(neighbours: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    samples, published = torch.randn(3, 4, generator=generator), torch.randn(6, 4, generator=generator)
    expected = [-np.mean(sorted(float((a - b).double().norm()) for b in published)[:neighbours]) for a in samples]
    assert replay_scores(samples, published, neighbours) == pytest.approx(expected, rel=1e-4)


def test_too_few_published_samples_are_refused() -> None:
    with pytest.raises(DataError, match="5 neighbours"):
        nearest_scores(torch.zeros(2, 4))


def test_delongs_interval_is_that_of_the_paper() -> None:
    """DeLong, DeLong and Clarke-Pearson 1988, equation 3: placements of each score among the others, by pairs."""
    rng = np.random.default_rng(5)
    x, y = rng.normal(0.8, 1, 23), rng.normal(0, 1, 17)
    pairs = (x[:, None] > y[None]).astype(float) + 0.5 * (x[:, None] == y[None])
    area = pairs.mean()
    variance = pairs.mean(1).var(ddof=1) / len(x) + pairs.mean(0).var(ddof=1) / len(y)
    logit, spread = np.log(area / (1 - area)), np.sqrt(variance) / (area * (1 - area))
    for confidence, z in ((0.95, 1.959963984540054), (0.9, 1.6448536269514722)):
        ends = [1 / (1 + np.exp(-(logit + side * z * spread))) for side in (-1, 1)]
        assert auc_interval(x, y, confidence) == pytest.approx(ends, abs=1e-12)


@pytest.mark.parametrize(("members", "others"), [(5, 5), (12, 30), (1, 40)])
def test_separated_scores_have_newcombes_interval(members: int, others: int) -> None:
    """Newcombe 2006, method 5: where (1 - A) / sqrt(V(A)) is z, V by Hanley and McNeil 1982 with mean of sizes."""
    x, y, z = np.arange(members) + 100.0, np.arange(others) * 1.0, 1.959963984540054
    low, high = auc_interval(x, y)
    mean = (members + others) / 2 - 1

    def far(area: float) -> float:
        first, second = area / (2 - area), 2 * area**2 / (1 + area)
        variance = area * (1 - area) + mean * (first - area**2) + mean * (second - area**2)
        return float((1 - area) - z * np.sqrt(max(variance, 0) / (members * others)))

    assert high == 1
    assert far(low + 2e-4) <= 0 <= far(low - 2e-4)


def test_intervals_of_one_side_are_those_of_the_other() -> None:
    rng = np.random.default_rng(6)
    x, y = rng.normal(1, 1, 9), rng.normal(0, 2, 14)
    low, high = auc_interval(x, y)
    assert auc_interval(y, x) == pytest.approx((1 - high, 1 - low))
