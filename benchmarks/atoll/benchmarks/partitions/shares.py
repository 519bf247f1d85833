"""Whole numbers in given proportions."""

import numpy as np
from numpy.typing import NDArray


def apportioned(weights: NDArray[np.float64], total: int) -> NDArray[np.int64]:
    """Whole numbers, int64 like ``weights``, in their proportions, that sum up to ``total``: by largest remainders.

    No number is further than one from its exact share. Ties go to the first; without any weight, all are alike.
    """
    if weights.sum() <= 0:
        weights = np.ones_like(weights)
    exact = weights / weights.sum() * total
    whole: NDArray[np.int64] = np.floor(exact).astype(np.int64)
    most = np.argsort(-(exact - whole), kind="stable")
    whole[most[: total - int(whole.sum())]] += 1
    return whole


def at_least(sizes: NDArray[np.int64], minimum: int) -> NDArray[np.int64]:
    """The same total with no number below ``minimum``: what lacks is taken from the largest, one by one."""
    found: NDArray[np.int64] = np.maximum(sizes, minimum)
    for _ in range(int(found.sum() - sizes.sum())):
        found[np.argmax(found)] -= 1
    return found
