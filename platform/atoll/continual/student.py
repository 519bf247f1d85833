"""Student's t distribution with whole degrees of freedom, in closed form (Abramowitz & Stegun 1964, 26.7.3, 26.7.4)."""

import math

_HALVINGS = 200


def within(t: float, freedom: int) -> float:
    """Probability that ``|T| <= t``, for t of 0 or more."""
    angle = math.atan2(t, math.sqrt(freedom))
    cosine, odd = math.cos(angle), freedom % 2
    term, total = (cosine, 0.0) if odd else (1.0, 0.0)
    # Each term is the one before it times cos² and the next pair of the series of odd and even numbers.
    for step in range(2 + odd, freedom + 1, 2):
        total += term
        term *= cosine**2 * (step - 1) / step
    return 2 / math.pi * (angle + math.sin(angle) * total) if odd else math.sin(angle) * total


def quantile(probability: float, freedom: int) -> float:
    """The t that T does not exceed with this probability, from one half up to below one."""
    low, high = 0.0, 1.0
    while within(high, freedom) < 2 * probability - 1:
        low, high = high, 2 * high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if within(middle, freedom) < 2 * probability - 1 else (low, middle)
    return high
