"""Partition ``dirichlet``: label skew, by draws from a Dirichlet distribution. Its two usual forms.

``silos`` (Hsu, Qi and Brown 2019, arXiv 1909.06335, section 3): all silos are of one size, and each draws its own mix
of classes q ~ Dir(alpha p), where p are the classes' shares of the pool; its samples are drawn by q without
replacement, and a class that is used up is left out of the draws that follow. So the last silos take what is left.

``classes`` (Yurochkin et al. 2019, arXiv 1905.12022): every class is shared out over the silos in proportions
q ~ Dir(alpha); sizes differ, and it is drawn again until no silo is below the minimum.

As alpha grows, both tend to silos that are alike; as it falls, to one class a silo, or one silo a class.
"""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from atoll.benchmarks.partitions.partition import (
    Part,
    Partition,
    Pool,
    check_positive,
    check_silos,
    named,
)
from atoll.benchmarks.partitions.shares import apportioned
from atoll.errors import ConfigError, DataError

_FORMS = ("silos", "classes")
_TRIES = 1000
_LARGEST = 1e8
"""Of a Dirichlet parameter, above which the draws are the mean to eight digits and may overflow."""


@final
@dataclass(frozen=True, slots=True)
class Dirichlet(Partition):
    """Label skew.

    Attributes:
        silos: How many.
        alpha: Concentration: 0.1 is strong skew, 1 is weak, 100 is next to none.
        minimum: Samples of a silo at least.
        each: Who draws a mix: ``silos``, of classes; or ``classes``, of silos.
    """

    name: ClassVar[str] = "dirichlet"
    silos: int = 5
    alpha: float = 0.5
    minimum: int = 10
    each: str = "silos"

    def split(self, pool: Pool, seed: int) -> list[Part]:
        """See the module."""
        if self.each not in _FORMS:
            raise ConfigError(f"partition 'dirichlet': each is '{self.each}'; it is {' or '.join(_FORMS)}")
        check_positive("alpha", self.alpha)
        check_silos(self.silos, pool, self.minimum)
        random = np.random.default_rng(seed)
        counts = self._by_silo(pool, random) if self.each == "silos" else self._by_class(pool, random)
        return [Part(silo=named(place), indices=held) for place, held in enumerate(dealt(pool, counts, random))]

    def _by_silo(self, pool: Pool, random: np.random.Generator) -> NDArray[np.int64]:
        left = np.bincount(pool.labels, minlength=pool.classes)
        sizes = apportioned(np.ones(self.silos), len(pool))
        mixes = _drawn(random, self.alpha * left / left.sum(), self.silos)
        found = np.zeros((self.silos, pool.classes), dtype=np.int64)
        for silo, size in enumerate(sizes):
            found[silo] = _taken(random, mixes[silo], left, int(size))
            left = left - found[silo]
        return found

    def _by_class(self, pool: Pool, random: np.random.Generator) -> NDArray[np.int64]:
        totals = np.bincount(pool.labels, minlength=pool.classes)
        for _ in range(_TRIES):
            mixes = _drawn(random, np.full(self.silos, self.alpha), pool.classes)
            found = np.array([apportioned(mix, int(total)) for mix, total in zip(mixes, totals, strict=True)]).T
            if found.sum(1).min() >= self.minimum:
                return found
        raise DataError(
            f"partition 'dirichlet': in {_TRIES} draws with alpha {self.alpha} some silo of {self.silos} always had "
            f"fewer than {self.minimum} samples; lower minimum, raise alpha, or take fewer silos"
        )


def dealt(pool: Pool, counts: NDArray[np.int64], random: np.random.Generator) -> list[NDArray[np.int64]]:
    """Samples drawn for each silo, by how many of each class it gets.

    Args:
        pool: The samples.
        counts: int64 [silos, classes], whose columns sum up to the pool's classes.
        random: Draws.
    """
    chosen: list[list[NDArray[np.int64]]] = [[] for _ in counts]
    for label in range(pool.classes):
        members = random.permutation(np.flatnonzero(pool.labels == label))
        for held, piece in zip(chosen, np.split(members, np.cumsum(counts[:, label])[:-1]), strict=True):
            held.append(piece)
    return [np.sort(np.concatenate(held)) for held in chosen]


def _drawn(random: np.random.Generator, parameters: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Draws, float64 [count, parameters]; a class that is nowhere has none of it."""
    found = np.zeros((count, len(parameters)))
    found[:, parameters > 0] = random.dirichlet(np.minimum(parameters[parameters > 0], _LARGEST), count)
    return found


def _taken(
    random: np.random.Generator, mix: NDArray[np.float64], left: NDArray[np.int64], size: int
) -> NDArray[np.int64]:
    """How many of each class a silo takes; draws go on among the classes that are left."""
    found = np.zeros_like(left)
    while (lacking := size - int(found.sum())) > 0:
        open_ = left > found
        weights = np.where(open_, mix, 0.0)
        if weights.sum() <= 0:  # what it wanted is used up
            weights = np.where(open_, left - found, 0).astype(np.float64)
        found = np.minimum(found + random.multinomial(lacking, weights / weights.sum()), left)
    return found
