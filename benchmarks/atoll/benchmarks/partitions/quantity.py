"""Partition ``quantity``: silos are alike but for their size."""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from atoll.benchmarks.partitions.partition import Part, Partition, Pool, check_positive, check_silos, named
from atoll.benchmarks.partitions.shares import apportioned, at_least
from atoll.errors import ConfigError

_LAWS = ("power", "dirichlet")


@final
@dataclass(frozen=True, slots=True)
class Quantity(Partition):
    """Sizes by a power law, or drawn from a Dirichlet distribution (Li, Diao, Chen and He 2021, arXiv 2102.02079,
    section IV-C); which samples, is drawn without regard to their class.

    Attributes:
        silos: How many.
        law: ``power``: the k-th silo's size goes as k to the power of ``-strength``, so 0 is even; or ``dirichlet``:
            shares are one draw of Dir(``strength``), so large is even.
        strength: Of the law.
        minimum: Samples of a silo at least.
    """

    name: ClassVar[str] = "quantity"
    silos: int = 5
    law: str = "power"
    strength: float = 1.0
    minimum: int = 10

    def split(self, pool: Pool, seed: int) -> list[Part]:
        """By a power law the first silo is the largest."""
        check_silos(self.silos, pool, self.minimum)
        random = np.random.default_rng(seed)
        sizes = at_least(apportioned(self._weights(random), len(pool)), self.minimum)
        pieces = np.split(random.permutation(len(pool)), np.cumsum(sizes)[:-1])
        return [Part(silo=named(place), indices=np.sort(piece)) for place, piece in enumerate(pieces)]

    def _weights(self, random: np.random.Generator) -> NDArray[np.float64]:
        if self.law == "power" and 0 <= self.strength < float("inf"):
            return np.arange(1, self.silos + 1, dtype=np.float64) ** -self.strength
        if self.law == "dirichlet":
            check_positive("strength", self.strength)
            return random.dirichlet(np.full(self.silos, self.strength))
        raise ConfigError(
            f"partition 'quantity': law '{self.law}' of strength {self.strength}; the laws are "
            f"{' and '.join(_LAWS)}, and the first takes a strength of zero or more"
        )
