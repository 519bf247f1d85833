"""The pool of samples, a part of it, and the promise of a partition."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from atoll.benchmarks.partitions.look import PLAIN, Look
from atoll.errors import ConfigError, DataError

GROUP = "atoll.partitions"
"""Entry points of partitions."""

Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Pool:
    """What is known of the samples that are dealt out.

    Attributes:
        labels: Class of each, int64 [N].
        classes: How many classes there are.
        origins: Place in ``sources`` of each, int64 [N].
        sources: Names of where samples come from, such as data sets.
    """

    labels: Indices
    classes: int
    origins: Indices
    sources: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def of(cls, labels: Sequence[int] | Indices, classes: int | None = None) -> "Pool":
        """Samples of one source."""
        found = np.asarray(labels, dtype=np.int64)
        count = int(found.max(initial=-1)) + 1 if classes is None else classes
        return cls(labels=found, classes=count, origins=np.zeros_like(found), sources=("pool",))


@dataclass(frozen=True, eq=False, kw_only=True)
class Part:
    """What one silo holds in one stage.

    Attributes:
        silo: Its name: lower-case letters, digits and hyphens.
        indices: Which samples of the pool, rising, int64 [n].
        stage: In which they come, counted from 1.
        look: How pictures look there.
    """

    silo: str
    indices: Indices
    stage: int = 1
    look: Look = PLAIN


class Partition(ABC):
    """A way to deal a pool out, as a value: a frozen dataclass, whose fields are its options.

    Attributes:
        name: As registered.
    """

    name: ClassVar[str]

    @abstractmethod
    def split(self, pool: Pool, seed: int) -> list[Part]:
        """Every sample into exactly one part; no part is empty; parts by stage, then by silo.

        A function of the pool, the options and the seed.

        Raises:
            ConfigError: options that make no sense.
            DataError: a pool that cannot be dealt out so; says what to change.
        """


def named(place: int) -> str:
    """The name of a silo by its place from 0."""
    return f"silo-{place + 1}"


def check_silos(silos: int, pool: Pool, minimum: int = 1) -> None:
    """Refuse a number of silos that the pool cannot be dealt out to with this many samples each.

    Raises:
        ConfigError: no silos, or a minimum below 1.
        DataError: too few samples.
    """
    if silos < 1 or minimum < 1:
        raise ConfigError(f"partition: {silos} silos with at least {minimum} samples each; give at least one of both")
    if silos * minimum > len(pool):
        raise DataError(
            f"partition: {len(pool)} samples are too few for {silos} silos with at least {minimum} each; take fewer "
            "silos or more samples"
        )


def check_positive(name: str, value: float) -> None:
    """Raise ConfigError unless a number is finite and above zero."""
    if not 0 < value < float("inf"):
        raise ConfigError(f"partition: {name} is {value}; it must be a number above zero")
