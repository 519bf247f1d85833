"""Exact intervals of a share (Clopper & Pearson 1934, Biometrika 26:404)."""

import numpy as np
import torch
from numpy.typing import NDArray

from atoll.errors import DataError

_HALVINGS = 60


def clopper_pearson(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Two-sided interval of a probability; its coverage is never below ``confidence``, however few the trials.

    Raises:
        DataError: no trials, or more successes than trials.
    """
    error = (1 - confidence) / 2
    return lower_limit(successes, trials, error), upper_limit(successes, trials, error)


def lower_limit(successes: int, trials: int, error: float) -> float:
    """The probability that is not below this, but for an ``error``: ``P(X >= successes) = error`` is solved for it.

    Raises:
        DataError: no trials, or more successes than trials.
    """
    if not 0 <= successes <= trials or trials < 1:
        raise DataError(f"{successes} of {trials} is no share; an interval needs at least one trial")
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if tails(trials, middle)[successes] < error else (low, middle)
    return low if successes else 0.0


def upper_limit(successes: int, trials: int, error: float) -> float:
    """The probability that is not above this, but for an ``error``.

    Raises:
        DataError: no trials, or more successes than trials.
    """
    return 1.0 - lower_limit(trials - successes, trials, error)


def tails(trials: int, probability: float) -> NDArray[np.float64]:
    """``P(X >= k)`` of a binomial X, for k from 0 to ``trials``: [trials + 1]."""
    n, k = torch.tensor(float(trials), dtype=torch.float64), torch.arange(trials + 1, dtype=torch.float64)
    p = torch.tensor(probability, dtype=torch.float64)
    choose = torch.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma(n - k + 1)
    # xlogy and xlog1py: zero times the logarithm of zero is zero here.
    masses = (choose + torch.xlogy(k, p) + torch.special.xlog1py(n - k, -p)).exp()
    found: NDArray[np.float64] = masses.flip(0).cumsum(0).flip(0).clamp(max=1.0).numpy()
    return found
