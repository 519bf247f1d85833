"""Kappas agree with other libraries and with their definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("river")

from river.metrics import CohenKappa

from atoll.benchmarks.online.concepts import Drift
from atoll.benchmarks.online.scores import Labels, after_drifts, curves, most_frequent, no_change, scores

LABELS = st.lists(st.integers(0, 3), min_size=2, max_size=60)


def _all(truth: Labels, answers: Labels) -> dict[str, float]:
    return scores(truth, answers, most_frequent(truth), no_change(truth))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=60))
def test_kappa_is_cohens(pairs: list[tuple[int, int]]) -> None:
    truth, answers = np.array(pairs).T
    theirs = CohenKappa()
    for label, answer in pairs:
        theirs.update(label, answer)
    assert _all(truth, answers)["kappa"] == pytest.approx(theirs.get())


@given(LABELS)
def test_kappas_are_nought_for_what_they_are_measured_against(labels: list[int]) -> None:
    truth = np.array(labels)
    assert _all(truth, most_frequent(truth))["kappa_m"] == 0
    assert _all(truth, no_change(truth))["kappa_temporal"] == 0


@given(LABELS)
def test_who_errs_nowhere_has_one_wherever_there_was_something_to_gain(labels: list[int]) -> None:
    truth = np.array(labels)
    found = _all(truth, truth)
    assert found["accuracy"] == 1
    references = {"kappa_m": most_frequent(truth), "kappa_temporal": no_change(truth)}
    for name, reference in references.items():
        assert found[name] == float((reference != truth).any())


def test_by_hand() -> None:
    truth = np.array([1, 1, 0, 1, 0, 0])
    assert most_frequent(truth).tolist() == [0, 1, 1, 1, 1, 1]
    assert no_change(truth).tolist() == [0, 1, 1, 0, 1, 0]
    found = _all(truth, np.array([1, 1, 0, 1, 1, 1]))  # four of six right; each of the lazy ones two
    assert found["accuracy"] == pytest.approx(4 / 6)
    assert found["kappa_m"] == pytest.approx((4 / 6 - 2 / 6) / (1 - 2 / 6))
    assert found["kappa_temporal"] == pytest.approx((4 / 6 - 2 / 6) / (1 - 2 / 6))


def test_curves_are_windows_with_the_whole_past_before_them() -> None:
    truth = np.array([1, 1, 1, 0, 0, 1, 0])
    found = curves(truth, np.array([1, 1, 0, 0, 0, 0, 0]), window=3)
    assert found["accuracy"].x == [3, 6]
    assert found["accuracy"].y == pytest.approx([2 / 3, 2 / 3])
    # The most frequent label was 1 when the second window began, which is right once in it.
    assert found["kappa_m"].y[1] == pytest.approx((2 / 3 - 1 / 3) / (1 - 1 / 3))


def test_accuracy_after_drifts_looks_nowhere_else() -> None:
    truth = np.zeros(10, np.int64)
    answers = np.array([1, 1, 0, 1, 1, 1, 1, 0, 0, 1])
    drifts = [Drift(2, 1), Drift(7, 1)]
    assert after_drifts(truth, answers, drifts, window=2) == 3 / 4
    assert after_drifts(truth, answers, drifts, window=5) == 3 / 8, "a window does not reach past the end"
