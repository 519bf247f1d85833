"""What makes a figure coarse before it leaves: Gaussian noise of several documents' weight, then rounding.

Rounding alone is no defence where somebody knows all of a figure but one document's part: a crafted model can put it
just below the border of a step. With noise of standard deviation k weights, a figure tells of one document what one
draw from N(0, 1) or from N(1 / k, 1) does, and several together what N(μ, 1) does, μ² the sum of 1 / k² of each
(Gaussian differential privacy, Dong et al. 2019, arXiv 1905.02383, corollary 3.3). The variance grows with the number
of figures that were told before: with k² = noise² (1 + b / m) for the b-th figure, B of them have
μ² ≤ m / noise² · ln(1 + B / m), where equal noise would have B / noise².
"""

import hashlib
import math
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from atoll.clients.measuring.policy import MeasuringPolicy

_NAME = "measuring.key"


@dataclass(frozen=True, kw_only=True, slots=True)
class Coarsening:
    """Of the figures of one data version.

    Attributes:
        policy: How coarse.
        secret: The node's own; without it, noise could be computed and taken off.
        version: Name of the data version.
        ranks: How many figures of the version had been told, this one among them, when a figure was charged: by
            question and name. The anchor's has none: it is one draw for the life of a version.
    """

    policy: MeasuringPolicy
    secret: bytes
    version: str
    ranks: Mapping[tuple[str, str], int] = field(default_factory=dict)

    def figure(self, question: str, name: str, value: float, weight: float, part: str = "") -> float:
        """A figure as it may leave; the same one each time it is asked for.

        Args:
            question: What is asked.
            name: Which figure of it.
            value: The exact one.
            weight: How far one document can move it.
            part: Which of several numbers of that name.
        """
        return rounded(value + self.noise(question, name, weight, part), step_of(weight, self.policy))

    def noise(self, question: str, name: str, weight: float, part: str = "") -> float:
        """A draw from N(0, σ²), fixed by the question, the data version and the node's secret."""
        if not self.policy.noise:
            return 0.0
        text = "\0".join(["atoll noise 1", self.version, question, name, part]).encode()
        seed = hashlib.blake2b(text, key=self.secret, digest_size=32).digest()
        draw = float(np.random.Generator(np.random.PCG64(int.from_bytes(seed, "big"))).standard_normal())
        return draw * weight * deviation(self.ranks.get((question, name), 0), self.policy)


def deviation(rank: int, policy: MeasuringPolicy) -> float:
    """Standard deviation of the noise of a figure, in weights of one document.

    Args:
        rank: How many figures had been told with it.
        policy: The noise of the first, and after how many its variance has doubled.
    """
    return policy.noise * math.sqrt(1 + rank / policy.noise_after)


def step_of(weight: float, policy: MeasuringPolicy) -> float:
    """What a figure is rounded to that one document can move by ``weight``."""
    return max(policy.step, policy.step_documents * weight)


def rounded(value: float, step: float) -> float:
    """The nearest multiple of a step."""
    return round(round(value / step) * step, 9)


def node_secret(folder: Path) -> bytes:
    """Of a node's own, made when first needed: keys the digests of documents, and seeds the noise of figures."""
    path = folder / _NAME
    if not path.exists():
        partial = folder / f".{_NAME}.{secrets.token_hex(4)}"
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(secrets.token_bytes(32))
            os.fsync(handle.fileno())
        try:
            os.link(partial, path)  # whoever comes first makes it
        except FileExistsError:
            pass
        finally:
            partial.unlink()
    return path.read_bytes()
