"""How an attack's success is counted: every figure with its 95 % interval."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A statistic over targets.

    Attributes:
        value: The statistic.
        low: Lower end of its 95 % interval.
        high: Upper end.
        targets: How many it rests on.
    """

    value: float
    low: float
    high: float
    targets: int


def mean_of(values: Sequence[float], seed: int = 0) -> Estimate:
    """Mean over targets, with a percentile bootstrap interval (Efron 1979), 9,999 resamples."""
    data = np.asarray(values, dtype=float)
    value = float(data.mean())
    if len(data) < 2 or np.ptp(data) == 0:
        return Estimate(value=value, low=value, high=value, targets=len(data))
    found = stats.bootstrap(
        (data,), np.mean, confidence_level=LEVEL, method="percentile", rng=np.random.default_rng(seed)
    ).confidence_interval
    return Estimate(value=value, low=float(found.low), high=float(found.high), targets=len(data))


def share_of(successes: int, targets: int) -> Estimate:
    """Share of targets where an attack succeeds, with Clopper and Pearson's exact interval (1934)."""
    found = stats.binomtest(successes, targets).proportion_ci(LEVEL, method="exact")
    return Estimate(value=successes / targets, low=float(found.low), high=float(found.high), targets=targets)


def true_positives(members: Sequence[float], others: Sequence[float], rate: float = 0.01) -> Estimate:
    """Share of members that score above the threshold which at most ``rate`` of the others pass.

    Where members score no higher than others, the expected value is ``rate`` itself; a score that says nothing is the
    same for everyone, and finds nobody.

    Args:
        members: Scores of those who are what is guessed; larger says that they are.
        others: Scores of those who are not, at least ``1 / rate`` of them for the rate to mean something.
        rate: False positives that are put up with.
    """
    ordered = np.sort(np.asarray(others, dtype=float))[::-1]
    threshold = ordered[int(np.floor(rate * len(ordered)))]
    return share_of(int((np.asarray(members, dtype=float) > threshold).sum()), len(members))


def area(members: Sequence[float], others: Sequence[float]) -> float:
    """Area under the curve of true over false positives: Mann and Whitney's U over the number of pairs."""
    found = stats.mannwhitneyu(members, others, alternative="two-sided", method="asymptotic").statistic
    return float(found) / (len(members) * len(others))
