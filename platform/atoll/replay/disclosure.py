"""How much of an owner's counts may be told: each unit once, blurred, and small counts not at all."""

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from atoll.errors import ConfigError, DataError
from atoll.replay.prior import Declaration

Counts = NDArray[np.float64]

SENSITIVITY = 2.0
"""L1 distance by which counts differ at most when one unit is replaced by another: its weight of one leaves some cells
and goes to others. Replacement rather than addition is the neighbourhood here, since the number of units is told."""


class NothingToTell(DataError):  # noqa: N818 - what the policy leaves, and no fault of the data
    """Noise and suppression leave nothing of the counts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Disclosure:
    """What an owner permits; its policy, never the coordinator's choice.

    Attributes:
        epsilon: Of everything that one prior tells (differential privacy by the Laplace mechanism, Dwork, McSherry,
            Nissim and Smith 2006); ``None`` tells the counts as they are.
        smallest: A cell that fewer units fall into is told as zero. With noise it is the noisy count that is compared.
        secret: Seed of the noise. Whoever knows it can take the noise off again, so it must stay with the owner;
            ``None`` takes a new one from the operating system. Doubles lose bits in sampling, which in theory tell
            something of the counts (Mironov 2012, doi 10.1145/2382196.2382264).

    Raises:
        ConfigError: an impossible value.
    """

    epsilon: float | None = None
    smallest: float = 3.0
    secret: int | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.epsilon is not None and not 0 < self.epsilon < float("inf"):
            raise ConfigError(f"disclosure: epsilon is {self.epsilon}; it must be above zero, or null for no noise")
        if not 0 <= self.smallest < float("inf"):
            raise ConfigError(f"disclosure: smallest is {self.smallest}; it must be zero or more")

    def generator(self) -> np.random.Generator:
        """Where the noise of one prior comes from."""
        return np.random.default_rng(self.secret)


def counted_once(unit: ArrayLike, cell: ArrayLike, cells: int) -> Counts:
    """How many units fall into each cell, [cells]; a unit with many records spreads a weight of one over them.

    Args:
        unit: Whose each record is, [M], any whole numbers.
        cell: Where it falls, [M], 0 to ``cells`` - 1.
        cells: How many cells there are; not to depend on the data.

    Raises:
        DataError: a cell out of range.
    """
    where = np.asarray(cell, dtype=np.int64)
    if len(where) and not 0 <= where.min() <= where.max() < cells:
        raise DataError(f"prior: a record falls into cell {where.min()} or {where.max()}; there are {cells}")
    codes = np.unique(np.asarray(unit), return_inverse=True)[1]
    weight = 1.0 / np.bincount(codes)[codes]
    return np.bincount(where, weight, minlength=cells).astype(np.float64)


def disclosed(
    counts: Counts,
    disclosure: Disclosure,
    rng: np.random.Generator,
    *,
    what: str,
    unit: str,
    fraction: float = 1.0,
) -> tuple[Tensor, Declaration]:
    """Counts as shares that may leave, and what is to be declared of them.

    Noise first; what follows looks at noisy counts alone and costs no privacy: they are brought back to the number of
    units (:func:`onto_simplex`), small ones go, the rest is scaled to sum to one.

    Args:
        counts: Of any shape; every unit weighs one in all, see :func:`counted_once`.
        disclosure: The owner's policy.
        rng: Of :meth:`Disclosure.generator`; one for all tensors of a prior.
        what: In one line.
        unit: ``user``, ``document``.
        fraction: Part of the epsilon that goes to these counts.

    Returns:
        Shares, float32, of the counts' shape.

    Raises:
        DataError: no unit.
        NothingToTell: nothing is left after noise and suppression.
    """
    units = round(float(counts.sum()))
    if units < 1:
        raise DataError(f"prior: no {unit} to count for: {what}")
    epsilon = None if disclosure.epsilon is None else disclosure.epsilon * fraction
    told = counts
    if epsilon is not None:
        told = onto_simplex(laplace(counts, SENSITIVITY / epsilon, rng), float(units))
    # A unit that spreads its weight may leave a sum just below a whole number.
    told = np.where(told + 1e-9 < disclosure.smallest, 0.0, told)
    if not told.sum() > 0:
        raise NothingToTell(
            f"prior: of {units} {unit}s nothing may be told ({what}): no cell holds {disclosure.smallest:g}; take "
            "coarser cells or a lower 'smallest', or replay without a prior"
        )
    declaration = Declaration(
        what=what,
        unit=unit,
        units=units,
        smallest=disclosure.smallest,
        sensitivity=SENSITIVITY,
        epsilon=epsilon,
    )
    return torch.from_numpy((told / told.sum()).astype(np.float32)), declaration


def laplace(counts: Counts, scale: float, rng: np.random.Generator) -> Counts:
    """Counts with independent Laplace noise: density exp(-|x| / scale) / (2 scale)."""
    noisy: Counts = counts + rng.laplace(0.0, scale, counts.shape)
    return noisy


def onto_simplex(values: Counts, total: float) -> Counts:
    """The nearest values that are not negative and sum to ``total`` (Duchi et al. 2008, ICML, figure 1).

    Noise on many empty cells would else outweigh the few full ones once negative counts are cut off: the threshold
    that makes the sum right takes it away again.
    """
    ordered = np.sort(values, axis=None)[::-1]
    excess = (np.cumsum(ordered) - total) / np.arange(1, len(ordered) + 1)
    threshold = excess[np.flatnonzero(ordered > excess)[-1]]
    nearest: Counts = np.maximum(values - threshold, 0.0)
    return nearest
