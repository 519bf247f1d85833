"""When one concept of a stream gives way to the next.

Shapes: N samples, C concepts.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Drift:
    """A change of concept.

    Attributes:
        at: Sample around which it happens, from 0.
        width: Samples over which the new concept takes over; 1 is at once.
    """

    at: int
    width: int


def quarters(length: int, width: int) -> tuple[Drift, ...]:
    """Three drifts that divide a stream in four, as in DriftMoE's streams."""
    return tuple(Drift(length * quarter // 4, width) for quarter in (1, 2, 3))


def shares(drifts: tuple[Drift, ...], length: int) -> NDArray[np.float64]:
    """Probability of every concept at every sample, [N, C].

    Sample t is past a drift with probability ``1 / (1 + exp(-4 (t - at) / width))``, the sigmoid of MOA's and river's
    concept-drift streams; its concept is the first whose drift it is not past.
    """
    past_ND = np.stack([_sigmoid(4 * (np.arange(length) - drift.at) / drift.width) for drift in drifts], 1)
    reached_NC = np.multiply.accumulate(np.column_stack([np.ones(length), past_ND]), 1)
    found: NDArray[np.float64] = -np.diff(reached_NC, axis=1, append=0.0)
    return found


def draw(drifts: tuple[Drift, ...], length: int, seed: int) -> list[int]:
    """The concept of every sample.

    river's ``ConceptDriftStream`` cannot draw abrupt drifts far from the start: its sigmoid overflows where ``at`` is
    more than 177 times ``width``.
    """
    bounds_NC = shares(drifts, length).cumsum(1)
    drawn_N1 = np.random.default_rng(seed).random((length, 1))
    found: list[int] = (drawn_N1 >= bounds_NC).sum(1).clip(max=len(drifts)).tolist()
    return found


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = (1 + np.tanh(x / 2)) / 2
    return found
