"""Partition ``feature-shift``: silos hold the same classes, and their pictures look different.

The noise of this kind is a usual benchmark of feature skew (Li, Diao, Chen and He 2021, arXiv 2102.02079, section
IV-B); rotations are those of rotated MNIST (Ghifary et al. 2015, arXiv 1508.07680).
"""

from dataclasses import dataclass, field
from typing import ClassVar, final

import numpy as np

from atoll.benchmarks.partitions.look import PLAIN, Look
from atoll.benchmarks.partitions.partition import Part, Partition, Pool, check_silos, named


def _usual() -> list[Look]:
    return [PLAIN, Look(rotation=60), Look(inverted=True), Look(contrast=0.3), Look(noise=80)]


@final
@dataclass(frozen=True, slots=True)
class FeatureShift(Partition):
    """Samples are dealt out evenly at random, and every silo has a look of its own.

    Attributes:
        looks: One a silo.
    """

    name: ClassVar[str] = "feature-shift"
    looks: list[Look] = field(default_factory=_usual)

    def split(self, pool: Pool, seed: int) -> list[Part]:
        """Sizes differ by one at most."""
        check_silos(len(self.looks), pool)
        pieces = np.array_split(np.random.default_rng(seed).permutation(len(pool)), len(self.looks))
        return [
            Part(silo=named(place), indices=np.sort(piece), look=look)
            for place, (piece, look) in enumerate(zip(pieces, self.looks, strict=True))
        ]
