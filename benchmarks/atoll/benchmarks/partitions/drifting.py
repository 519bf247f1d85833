"""Partition ``drifting``: silos come again in every stage with new data, which has drifted since they came before."""

from dataclasses import dataclass, field
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from atoll.benchmarks.partitions.dirichlet import dealt
from atoll.benchmarks.partitions.look import Look
from atoll.benchmarks.partitions.partition import Part, Partition, Pool, check_positive, check_silos, named
from atoll.benchmarks.partitions.shares import apportioned
from atoll.errors import ConfigError, DataError

_SWEEPS = 500
_LEAST = 1e-9
"""Share of a class that a mix has at least, so that a mix can be fitted to any pool."""


@final
@dataclass(frozen=True, slots=True)
class Drifting(Partition):
    """A silo's classes drift, its looks drift, or both.

    A silo's mix of classes begins as a draw of Dir(alpha) and ends as another one, with straight steps between, and
    its look goes from ``first`` to ``last`` likewise. Every sample is used once: the mixes are fitted to the classes
    that the pool has (:func:`fitted`), and parts are of about one size.

    Attributes:
        silos: How many.
        stages: How many.
        alpha: Concentration of the mixes of classes; large for classes that do not drift.
        first: Look at the first stage.
        last: Look at the last stage.
        staggered: Whether each silo's look begins to change later than that of the one before; all end together.
        minimum: Samples of a silo in a stage at least.
    """

    name: ClassVar[str] = "drifting"
    silos: int = 2
    stages: int = 3
    alpha: float = 0.5
    first: Look = field(default_factory=Look)
    last: Look = field(default_factory=Look)
    staggered: bool = False
    minimum: int = 10

    def split(self, pool: Pool, seed: int) -> list[Part]:
        """By stage, and by silo within."""
        if self.stages < 2:
            raise ConfigError(f"partition 'drifting': {self.stages} stages; drift takes at least two")
        check_positive("alpha", self.alpha)
        check_silos(self.silos * self.stages, pool, self.minimum)
        random = np.random.default_rng(seed)
        mixes = self._mixes(pool, random)
        counts = fitted(mixes, np.bincount(pool.labels, minlength=pool.classes))
        if counts.sum(1).min() < self.minimum:
            raise DataError(
                f"partition 'drifting': a part has {counts.sum(1).min()} samples, fewer than {self.minimum}; lower "
                "minimum, raise alpha, or take fewer silos or stages"
            )
        chosen = dealt(pool, counts, random)
        places = [(stage, silo) for stage in range(self.stages) for silo in range(self.silos)]
        return [
            Part(silo=named(silo), stage=stage + 1, indices=held, look=self._look(stage, silo))
            for (stage, silo), held in zip(places, chosen, strict=True)
        ]

    def _mixes(self, pool: Pool, random: np.random.Generator) -> NDArray[np.float64]:
        """Of every silo in every stage, by stage, float64 [stages * silos, classes]."""
        start, end = _LEAST + random.dirichlet(np.full(pool.classes, self.alpha), (2, self.silos))
        passed = np.linspace(0, 1, self.stages)[:, None, None]
        mixes: NDArray[np.float64] = ((1 - passed) * start + passed * end).reshape(-1, pool.classes)
        return mixes

    def _look(self, stage: int, silo: int) -> Look:
        passed = stage / (self.stages - 1)
        if self.staggered:
            passed = min(1.0, max(0.0, passed * (1 + silo / self.silos) - silo / self.silos))
        return between(self.first, self.last, passed)


def between(first: Look, last: Look, passed: float) -> Look:
    """The look this far on the way, from 0 to 1; pictures are inverted from half of the way."""

    def at(start: float, end: float) -> float:
        return start + passed * (end - start)

    return Look(
        rotation=at(first.rotation, last.rotation),
        contrast=at(first.contrast, last.contrast),
        noise=at(first.noise, last.noise),
        inverted=last.inverted if passed >= 0.5 else first.inverted,
    )


def fitted(mixes: NDArray[np.float64], totals: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many of each class each part gets: as near to the mixes as the pool allows, for parts of one size.

    By iterative proportional fitting (Deming and Stephan 1940, doi 10.1214/aoms/1177731829), which keeps the odds
    ratios of the mixes, and then whole numbers.

    Args:
        mixes: Positive, float64 [parts, classes].
        totals: Samples of each class, int64 [classes].

    Returns:
        int64 [parts, classes], whose columns sum up to ``totals``.
    """
    table, size = mixes.copy(), totals.sum() / len(mixes)
    for _ in range(_SWEEPS):
        table *= size / table.sum(1, keepdims=True)
        table *= totals / np.maximum(table.sum(0), np.finfo(np.float64).tiny)
    columns = [apportioned(column, int(total)) for column, total in zip(table.T, totals, strict=True)]
    return np.array(columns).T
