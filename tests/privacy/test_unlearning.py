"""Definitions of OpenUnlearning, against values by hand."""

import math
import zlib
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from atoll.errors import ConfigError, DataError
from atoll.privacy.attacks import zlib_scores
from atoll.privacy.gradient_norm import gradient_norm, open_for_gradients
from atoll.privacy.scorecard import AFTER, BEFORE, NEVER_HAD, DocumentScores, scorecard
from atoll.privacy.token_scores import lowest_mean, token_scores
from atoll.privacy.unlearning import forget_quality, privacy_leakage, same_distribution, truth_ratio
from atoll.privacy.unlearning_config import UnlearningConfig


def test_privacy_leakage_by_hand() -> None:
    """MUSE's own convention: a model that still gives members away is far below 0, one that over-unlearns above."""
    assert privacy_leakage(0.5, 0.5) == 0
    assert privacy_leakage(0.9, 0.5) == pytest.approx(-80)  # (0.1 - 0.5) / 0.5
    assert privacy_leakage(0.2, 0.5) == pytest.approx(60)  # (0.8 - 0.5) / 0.5
    assert privacy_leakage(1.0, 0.6) == pytest.approx(-100)


def test_no_area_no_leakage() -> None:
    with pytest.raises(DataError, match="area"):
        privacy_leakage(1.2, 0.5)


def test_truth_ratio_by_hand() -> None:
    # The right answer has 1/2 a token, the wrong ones 1/4 and 1/16: the geometric mean of these is 1/8.
    found = truth_ratio(np.array([math.log(2)]), np.array([[math.log(4), math.log(16)]]))
    assert found == pytest.approx([0.25])


@pytest.mark.parametrize("wrong", [np.zeros((2, 3)), np.zeros(1), np.zeros((1, 0))])
def test_truth_ratio_needs_wrong_answers_of_each_question(wrong: np.ndarray) -> None:
    with pytest.raises(DataError, match="truth ratio"):
        truth_ratio(np.zeros(1), wrong)


def test_forget_quality_is_a_kolmogorov_smirnov_p_value() -> None:
    low, high = np.linspace(0, 1, 20), np.linspace(5, 6, 20)
    assert forget_quality(low, low) == 1
    # All 20 on one side: 2 / C(40, 20) by the exact distribution.
    assert same_distribution(low, high) == pytest.approx(2 / math.comb(40, 20), rel=1e-6)


def test_values_that_are_no_numbers_have_no_distribution() -> None:
    with pytest.raises(DataError, match="numbers only"):
        same_distribution(np.array([math.nan]), np.array([1.0]))


def test_token_scores_by_hand() -> None:
    probability = torch.tensor([[0.5, 0.25, 0.25], [0.8, 0.1, 0.1]], dtype=torch.float64)
    ids = torch.tensor([1, 0])
    found = token_scores(probability.log(), ids)
    assert found.log_probability_T.tolist() == pytest.approx([math.log(0.25), math.log(0.8)])
    for place, row in enumerate(probability.tolist()):
        mean = sum(p * math.log(p) for p in row)
        deviation = math.sqrt(sum(p * (math.log(p) - mean) ** 2 for p in row))
        expected = (math.log(row[ids[place]]) - mean) / deviation
        assert float(found.standardised_T[place]) == pytest.approx(expected)


def test_tokens_that_a_model_excludes_do_not_make_scores_nan() -> None:
    logits = torch.tensor([[0.0, 1.0, -math.inf]])
    assert math.isfinite(float(token_scores(logits, torch.tensor([0])).standardised_T))


def test_a_certain_model_has_finite_scores() -> None:
    logits = torch.tensor([[200.0, 0.0, 0.0]])
    assert math.isfinite(float(token_scores(logits, torch.tensor([0])).standardised_T))


def test_the_lowest_two_of_five() -> None:
    values = torch.tensor([-1.0, -5.0, -2.0, -4.0, -3.0])
    assert lowest_mean(values, 0.4) == -4.5
    assert lowest_mean(values, 0.01) == -5  # one at least
    assert lowest_mean(values, 1.0) == -3
    with pytest.raises(DataError):
        lowest_mean(values, 0.0)


def test_zlib_scores_by_hand() -> None:
    documents = [b"a" * 100, bytes(range(100))]
    sizes = [len(zlib.compress(document)) for document in documents]
    assert zlib_scores(np.array([2.0, 2.0]), documents).tolist() == [-2 / size for size in sizes]


def test_gradient_norm_by_hand_leaves_the_model_as_it_was() -> None:
    model = nn.Linear(2, 1)
    model.requires_grad_(False)
    with open_for_gradients(model) as weights:
        # d/dw of 3 w0 + 4 w1 + b is (3, 4) and 1: norms 5 and 1.
        loss = model(torch.tensor([[3.0, 4.0]])).sum()
        assert gradient_norm(loss, weights) == 3
    assert not any(weight.requires_grad for weight in model.parameters())
    assert all(weight.grad is None for weight in model.parameters())


def _scores(shift: float, rng: np.random.Generator) -> DocumentScores:
    forget, holdout = rng.normal(3 - shift, 1, 40), rng.normal(3, 1, 30)
    return DocumentScores(
        forget_loss=forget,
        holdout_loss=holdout,
        forget={"loss": -forget, "min_k": -forget},
        holdout={"loss": -holdout, "min_k": -holdout},
        truth_ratios=np.exp(forget - 3),
    )


def test_a_model_that_is_the_retrained_one_leaks_nothing() -> None:
    rng = np.random.default_rng(0)
    never, before = _scores(0, rng), _scores(2, rng)
    found = scorecard({BEFORE: before, AFTER: never, NEVER_HAD: never}).figures()
    assert found["unlearning_after_privacy_leakage"] == 0
    assert found["unlearning_after_ks_p"] == 1
    assert found["unlearning_after_forget_quality"] == 1
    assert found["unlearning_before_privacy_leakage"] < -50
    assert found["unlearning_before_ks_p"] < 1e-3
    assert found["unlearning_before_auc_loss"] > 0.85
    assert (found["unlearning_forget"], found["unlearning_holdout"]) == (40, 30)


def test_without_a_retrained_model_what_needs_it_is_not_there() -> None:
    rng = np.random.default_rng(0)
    found = scorecard({BEFORE: _scores(2, rng), AFTER: _scores(0, rng)}).figures()
    assert "unlearning_after_auc_min_k" in found
    assert not [name for name in found if name.endswith(("leakage", "ks_p", "quality"))]


def test_pictures_leak_by_loss() -> None:
    losses = np.arange(10.0)
    low, high = (
        DocumentScores(forget_loss=side, holdout_loss=losses, forget={"loss": -side}, holdout={"loss": -losses})
        for side in (losses - 100, losses)
    )
    found = scorecard({BEFORE: low, NEVER_HAD: high}).figures()
    assert found["unlearning_before_privacy_leakage"] == pytest.approx(-100)


def test_models_must_be_asked_about_the_same() -> None:
    with pytest.raises(DataError, match="the same"):
        scorecard(
            {
                BEFORE: DocumentScores(forget_loss=np.zeros(3), holdout_loss=np.zeros(3)),
                AFTER: DocumentScores(forget_loss=np.zeros(2), holdout_loss=np.zeros(3)),
            }
        )


@given(st.floats(0, 1), st.floats(0, 0.99))
def test_leakage_is_zero_only_where_areas_are_equal_and_falls_with_the_area(area: float, retrained: float) -> None:
    found = privacy_leakage(area, retrained)
    assert (found > 0) == (1 - area > 1 - retrained)
    assert (found == 0) == (1 - area == 1 - retrained)
    assert found >= -100 - 1e-6


@pytest.mark.parametrize(
    "odd", [{"documents": 1}, {"documents": 10**6}, {"min_k": 0.0}, {"min_k": 1.5}, {"gradient": "often"}]
)
def test_configurations_that_cannot_be(odd: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="unlearning"):
        UnlearningConfig(**odd).check()
