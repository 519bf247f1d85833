"""Membership inference: how well scores tell the samples that were trained on from those that were not.

A score is higher the more a sample looks like a member. Samples of one person are no independent draws: bring them to
one score a person with :func:`per_person` first, and the figures and intervals speak of persons.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atoll.errors import DataError
from atoll.privacy.intervals import lower_limit, tails, upper_limit

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class MembershipReport:
    """How well one attack tells members from others.

    Attributes:
        attack: Its name, such as ``loss``.
        members: Members scored.
        non_members: Others scored.
        auc: Probability that a member's score is above another's; 0.5 for an attack that knows nothing.
        auc_low: Lower end of its interval (:func:`auc_interval`).
        auc_high: Upper end.
        true_positives: Share of members found while no more than ``false_positives`` of the others are accused.
        true_positives_low: Lower end of its interval (:func:`true_positive_interval`).
        true_positives_high: Upper end.
        false_positives: The rate that is tolerated.
        confidence: Of both intervals, each by itself.
    """

    attack: str
    members: int
    non_members: int
    auc: float
    auc_low: float
    auc_high: float
    true_positives: float
    true_positives_low: float
    true_positives_high: float
    false_positives: float
    confidence: float

    def figures(self) -> Mapping[str, float]:
        """Every figure by a name that starts with ``membership_`` and the attack's, as an expert card holds them."""
        names = ("members", "non_members", "auc", "auc_low", "auc_high")
        rates = ("true_positives", "true_positives_low", "true_positives_high", "false_positives")
        return {f"membership_{self.attack}_{name}": float(getattr(self, name)) for name in names + rates}


def membership_report(
    attack: str, members: Floats, non_members: Floats, *, false_positives: float = 0.01, confidence: float = 0.95
) -> MembershipReport:
    """Measure one attack.

    Args:
        attack: Its name.
        members: Scores [m] of samples that were trained on.
        non_members: Scores [n] of samples of the same kind that were not.
        false_positives: The rate at which the true positives are counted (Carlini et al. 2022, arXiv 2112.03570).
        confidence: Of the intervals.

    Raises:
        DataError: no scores on one side, or a score that is no number.
    """
    auc_low, auc_high = auc_interval(members, non_members, confidence)
    low, high = true_positive_interval(members, non_members, false_positives, confidence)
    return MembershipReport(
        attack=attack,
        members=len(members),
        non_members=len(non_members),
        auc=auc(members, non_members),
        auc_low=auc_low,
        auc_high=auc_high,
        true_positives=true_positive_rate(members, non_members, false_positives),
        true_positives_low=low,
        true_positives_high=high,
        false_positives=false_positives,
        confidence=confidence,
    )


def per_person(scores: Floats, persons: Integers) -> NDArray[np.float64]:
    """Mean score of every person, in the order of their numbers.

    Args:
        scores: [N].
        persons: [N], whose sample each is.
    """
    _, person = np.unique(persons, return_inverse=True)
    found: NDArray[np.float64] = np.bincount(person, weights=_checked("scores", scores)) / np.bincount(person)
    return found


def auc(members: Floats, non_members: Floats) -> float:
    """Area under the ROC curve: the share of pairs in which the member's score is the higher, ties counted half.

    Raises:
        DataError: no scores on one side, or a score that is no number.
    """
    return float(_placements(_checked("members", members), _checked("non-members", non_members)).mean())


def auc_interval(members: Floats, non_members: Floats, confidence: float = 0.95) -> tuple[float, float]:
    """Interval of the AUC by DeLong, DeLong & Clarke-Pearson (1988, Biometrics 44:837), on the logit scale.

    Where that variance is zero, as when all members score above all others, it says nothing about what few samples
    leave open; then the score interval on Hanley & McNeil's variance takes its place (Newcombe 2006, Statistics in
    Medicine 25:559, method 5).

    Raises:
        DataError: no scores on one side, or a score that is no number.
    """
    x, y = _checked("members", members), _checked("non-members", non_members)
    found = auc(x, y)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    if min(len(x), len(y)) > 1 and 0 < found < 1:
        variance = _placements(x, y).var(ddof=1) / len(x) + _placements(y, x).var(ddof=1) / len(y)
        if variance > 0:
            half = z * math.sqrt(variance) / (found * (1 - found))
            centre = math.log(found / (1 - found))
            return _logistic(centre - half), _logistic(centre + half)
    return _score_interval(found, len(x), len(y), z)


def true_positive_rate(members: Floats, non_members: Floats, false_positives: float = 0.01) -> float:
    """Share of members above the lowest threshold that accuses no more than this share of the others.

    With fewer than ``1 / false_positives`` others none may be accused; the interval tells what that is worth.

    Raises:
        DataError: no scores on one side, or a score that is no number.
    """
    x, y = _checked("members", members), np.sort(_checked("non-members", non_members))[::-1]
    accused = math.floor(false_positives * len(y) + 1e-9)
    return float((x > y[min(accused, len(y) - 1)]).mean())


def true_positive_interval(
    members: Floats, non_members: Floats, false_positives: float = 0.01, confidence: float = 0.95
) -> tuple[float, float]:
    """Interval of the true-positive rate at the threshold whose *true* false-positive rate is ``false_positives``.

    Two things are uncertain: where that threshold lies, since the others are few, and the share of members above it.
    The threshold is bracketed by order statistics of the others (binomial, so free of any assumption), the share at
    each end by Clopper and Pearson; each end of the interval spends half of its error on either. With fewer than
    about ``4.4 / false_positives`` others no upper bracket exists at 95 %, and the lower end is 0.

    Raises:
        DataError: no scores on one side, or a score that is no number.
    """
    x, y = _checked("members", members), np.sort(_checked("non-members", non_members))[::-1]
    error = (1 - confidence) / 4
    # The k-th highest is above the threshold unless fewer than k of the others are: Binomial(n, false_positives).
    chances = tails(len(y), false_positives)[1:]
    above, below = int((chances >= 1 - error).sum()), int((chances > error).sum())
    low = lower_limit(int((x > y[above - 1]).sum()), len(x), error) if above else 0.0
    high = upper_limit(int((x >= y[below]).sum()), len(x), error) if below < len(y) else 1.0
    return low, high


def _placements(scores: Floats, others: Floats) -> NDArray[np.float64]:
    """For each score, the share of the others below it, ties counted half."""
    ordered = np.sort(others)
    below, up_to = np.searchsorted(ordered, scores, "left"), np.searchsorted(ordered, scores, "right")
    return (below + up_to) / (2 * len(ordered))


def _score_interval(found: float, m: int, n: int, z: float) -> tuple[float, float]:
    """All areas that ``found`` is not too far from, measured by the variance that each of them would have."""
    area = np.linspace(0, 1, 10_001)
    pairs = (m + n) / 2 - 1
    variance = area * (1 - area) * (1 + pairs * ((1 - area) / (2 - area) + area / (1 + area))) / (m * n)
    within = area[np.abs(area - found) <= z * np.sqrt(variance) + 1e-12]
    return float(within.min()), float(within.max())


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-value)) if value > 0 else math.exp(value) / (1 + math.exp(value))


def _checked(what: str, scores: Floats) -> NDArray[np.float64]:
    found = np.asarray(scores, dtype=np.float64)
    if found.ndim != 1 or not len(found):
        raise DataError(f"membership: {what} have the shape {found.shape}; give one score a sample, and at least one")
    if np.isnan(found).any():
        raise DataError(f"membership: {int(np.isnan(found).sum())} of the {what} are no numbers; look at the losses")
    return found
