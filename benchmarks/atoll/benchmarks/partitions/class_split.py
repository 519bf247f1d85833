"""Partition ``classes``: each class is at one silo only, as in class-incremental streams such as Split MNIST."""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from atoll.benchmarks.partitions.partition import Part, Partition, Pool, check_silos, named
from atoll.errors import DataError


@final
@dataclass(frozen=True, slots=True)
class Classes(Partition):
    """Classes are dealt out as evenly as can be, a silo's next to each other in their order.

    Attributes:
        silos: How many.
        shuffled: Whether the order of classes is drawn, rather than the given one.
    """

    name: ClassVar[str] = "classes"
    silos: int = 5
    shuffled: bool = False

    def split(self, pool: Pool, seed: int) -> list[Part]:
        """Every silo has at least one class."""
        check_silos(self.silos, pool)
        there = np.unique(pool.labels)
        if len(there) < self.silos:
            raise DataError(f"partition 'classes': {len(there)} classes are too few for {self.silos} silos")
        order = np.random.default_rng(seed).permutation(there) if self.shuffled else there
        return [
            Part(silo=named(place), indices=np.flatnonzero(np.isin(pool.labels, held)))
            for place, held in enumerate(np.array_split(order, self.silos))
        ]
