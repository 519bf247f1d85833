import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from atoll.workloads.classification.figures import WIDTH, class_figures, class_sums

sklearn_metrics = pytest.importorskip("sklearn.metrics")


def figures(logits: torch.Tensor, label: torch.Tensor, parts: int = 1) -> dict[str, float]:
    sums: dict[str, float] = {}
    for one, two in zip(logits.chunk(parts), label.chunk(parts), strict=True):
        for name, value in class_sums(one, two, {"even": two >= 0}).items():
            sums[name] = sums.get(name, 0.0) + value
    return class_figures(sums, len(label), logits.shape[1], ["even"])


def drawn(seed: int, count: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    label = torch.randint(0, classes, (count,), generator=generator)
    return torch.randn(count, classes, generator=generator) + torch.nn.functional.one_hot(label, classes), label


@pytest.mark.parametrize("classes", [2, 4])
def test_as_scikit_learn_has_them(classes: int) -> None:
    logits, label = drawn(0, 400, classes)
    found, probability = figures(logits, label), logits.softmax(-1).numpy()
    score = probability[:, 1] if classes == 2 else probability
    assert found["auroc"] == pytest.approx(sklearn_metrics.roc_auc_score(label, score, multi_class="ovr"), abs=2e-3)
    truth = np.eye(classes)[label.numpy()]
    assert found["brier"] == pytest.approx(((probability - truth) ** 2).sum(1).mean())
    assert found["accuracy"] == pytest.approx((probability.argmax(1) == label.numpy()).mean())


def test_the_rate_is_that_of_positives() -> None:
    logits, label = drawn(1, 300, 2)
    said = logits.argmax(-1) == 1
    assert figures(logits, label)["tpr"] == pytest.approx(float(said[label == 1].double().mean()))


def test_calibration_by_hand() -> None:
    # Two bins: sure of 0.8 and right in one of two, sure of 0.6 and always right.
    logits = torch.tensor([[0.8, 0.2], [0.8, 0.2], [0.6, 0.4]]).log()
    found = figures(logits, torch.tensor([0, 1, 0]))
    assert found["ece"] == pytest.approx((2 * 0.3 + 0.4) / 3)


@given(st.integers(0, 10**6), st.integers(2, 60), st.integers(2, 4))
@settings(max_examples=25, deadline=None)
def test_batches_change_nothing(seed: int, count: int, classes: int) -> None:
    logits, label = drawn(seed, count, classes)
    whole, parts = figures(logits, label), figures(logits, label, parts=2)
    assert whole.keys() == parts.keys()
    assert all(math.isclose(whole[name], parts[name], abs_tol=1e-9) for name in whole)


@given(st.lists(st.tuples(st.integers(-600, 600), st.booleans()), min_size=2, max_size=40))
@settings(max_examples=50, deadline=None)
def test_the_area_is_exact_where_log_odds_stand_on_bins(pairs: list[tuple[int, bool]]) -> None:
    label = torch.tensor([positive for _, positive in pairs]).long()
    odds = torch.tensor([float(place) for place, _ in pairs], dtype=torch.float64) * WIDTH
    found = figures(torch.stack([torch.zeros_like(odds), odds], -1), label)
    if label.min() == label.max():
        assert "auroc" not in found
    else:
        assert found["auroc"] == pytest.approx(sklearn_metrics.roc_auc_score(label, odds))
        assert found["auroc@even"] == pytest.approx(found["auroc"])


def test_what_the_data_does_not_define_is_left_out() -> None:
    found = figures(torch.zeros(3, 2), torch.zeros(3, dtype=torch.int64))
    assert {"auroc", "tpr"}.isdisjoint(found)
    assert found["accuracy"] == 1
