"""Accuracy, and how much better than chance and than two lazy classifiers that is. Shapes: N samples."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from atoll.benchmarks.online.concepts import Drift
from atoll.benchmarks.suites.outcome import Curve

Labels = NDArray[np.int64]


def most_frequent(truth: Labels) -> Labels:
    """Answers of a classifier that always gives the class seen most often so far, [N]; the lower one where equal."""
    seen = np.zeros(int(truth.max()) + 1, np.int64)
    answers = np.empty_like(truth)
    for t, label in enumerate(truth):
        answers[t] = seen.argmax()
        seen[label] += 1
    return answers


def no_change(truth: Labels) -> Labels:
    """Answers of a classifier that always gives the label seen last, [N]; 0 at first."""
    return np.concatenate([[0], truth[:-1]])


def scores(truth: Labels, answers: Labels, majority: Labels, last: Labels) -> dict[str, float]:
    """Of some samples: ``accuracy``, ``kappa``, ``kappa_m`` and ``kappa_temporal``.

    Each kappa is ``(p - q) / (1 - q)`` with p the accuracy and q that of another classifier: one that answers at random
    with the answers' own frequencies (Cohen 1960), the most frequent class so far (Bifet et al. 2015), or the last
    label (Žliobaitė et al. 2015). Where that one makes no mistake, there is nothing to gain, and kappa is 0.

    Args:
        truth: Labels, [N].
        answers: The learner's.
        majority: Those of :func:`most_frequent`, over the whole stream so far.
        last: Those of :func:`no_change`.
    """
    p = float((truth == answers).mean())
    return {
        "accuracy": p,
        "kappa": _kappa(p, _by_chance(truth, answers)),
        "kappa_m": _kappa(p, float((truth == majority).mean())),
        "kappa_temporal": _kappa(p, float((truth == last).mean())),
    }


def curves(truth: Labels, answers: Labels, window: int) -> Mapping[str, Curve]:
    """The same in windows that follow each other, each at the number of samples at its end; the rest is left out."""
    majority, last = most_frequent(truth), no_change(truth)
    ends = range(window, len(truth) + 1, window)
    found = [scores(*(side[end - window : end] for side in (truth, answers, majority, last))) for end in ends]
    along = [float(end) for end in ends]
    return {name: Curve(along="samples", x=along, y=[each[name] for each in found]) for name in found[0]}


def after_drifts(truth: Labels, answers: Labels, drifts: Sequence[Drift], window: int) -> float:
    """Accuracy over the first ``window`` samples after each drift's middle: how fast a learner recovers."""
    near = np.concatenate([np.arange(drift.at, min(drift.at + window, len(truth))) for drift in drifts])
    return float((truth[near] == answers[near]).mean())


def _kappa(p: float, q: float) -> float:
    return (p - q) / (1 - q) if q < 1 else 0.0


def _by_chance(truth: Labels, answers: Labels) -> float:
    classes = 1 + int(max(truth.max(), answers.max()))
    counts = [np.bincount(side, minlength=classes) / len(truth) for side in (truth, answers)]
    return float(counts[0] @ counts[1])
