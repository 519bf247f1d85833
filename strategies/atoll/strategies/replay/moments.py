"""Moments of an owner's vectors by class, told as its policy permits.

Every vector has length sqrt(D) at most, so that its coordinates' absolute values, and their squares, sum to D at most.
Sums over units that weigh one each so change by 2 D at most (L1) when one unit is replaced by another, and the Laplace
mechanism covers them as it covers counts; means and variances are made of noisy sums alone.

Shapes: N samples, K classes, D width of a vector.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from atoll.errors import ConfigError
from atoll.replay import Declaration, Disclosure, Prior
from atoll.replay.disclosure import disclosed, laplace
from atoll.workloads.classification import LabelledFeatures

ISOTROPIC, POOLED, DIAGONAL, FULL = COVARIANCES = ("isotropic", "pooled", "diagonal", "full")
_COUNTS, _SPREAD = 0.1, 0.3
"""Parts of the epsilon: counts of units need little of it; means, which tell classes apart, get the rest."""
_LEAST = 1e-3
"""The smallest variance: noise may leave less than none."""

Doubles = NDArray[np.float64]


def told_shapes(covariance: str, classes: int, width: int) -> dict[str, tuple[int, ...]]:
    """Of the tensors that are told."""
    spread: dict[str, tuple[int, ...]] = {POOLED: (width,), DIAGONAL: (classes, width), FULL: (width, width)}
    told: dict[str, tuple[int, ...]] = {"class": (classes,), "mean": (classes, width)}
    return told if covariance == ISOTROPIC else {**told, covariance: spread[covariance]}


def isotropic_variance(prior: Prior) -> float:
    """Of each coordinate around its class's mean, from what is told anyway.

    Vectors have length sqrt(D), so that what the squared lengths of the means leave of D is the variance of all
    coordinates together. Noise makes means longer, by what its declared scale says.
    """
    mean_KD, share_K = prior.tensors["mean"].double(), prior.tensors["class"].double()
    width, declared = mean_KD.shape[1], prior.declared["mean"]
    lengths_K = mean_KD.square().sum(1)
    if declared.epsilon is not None:
        scale_K = declared.sensitivity / declared.epsilon / (share_K * declared.units).clamp_min(1)
        lengths_K = lengths_K - 2 * width * scale_K.square()
    return max(float(width - share_K @ lengths_K) / width, _LEAST)


def told_moments(
    private: LabelledFeatures, classes: int, covariance: str, disclosure: Disclosure
) -> tuple[dict[str, Tensor], dict[str, Declaration]]:
    """``class`` shares [K], ``mean`` [K, D], and any spread under the covariance's name, with their declarations.

    Raises:
        ConfigError: noise on a full covariance.
        NothingToTell: no class with enough units.
    """
    if covariance == FULL and disclosure.epsilon is not None:
        raise ConfigError(
            "replay gaussian: a full covariance is not told with noise; take covariance=isotropic, or let the owner "
            "tell counts as they are (replay.tell=counts)"
        )
    sums, rng = _Sums.of(private, classes), disclosure.generator()
    shares, of_shares = disclosed(
        sums.count_K, disclosure, rng, what="share of the units by class", unit="unit", fraction=_COUNTS
    )
    part = 1 - _COUNTS - (0 if covariance == ISOTROPIC else _SPREAD)
    teller = _Teller(sums, shares.double().numpy() * sums.units, disclosure, rng, part)
    mean_KD, of_mean = teller.means()
    tensors, declared = {"class": shares, "mean": _single(mean_KD)}, {"class": of_shares, "mean": of_mean}
    if covariance != ISOTROPIC:
        spread, declared[covariance] = teller.spread(covariance, mean_KD)
        tensors[covariance] = _single(spread)
    return tensors, declared


@dataclass(frozen=True, eq=False, slots=True)
class _Sums:
    """Over samples, of which those of one unit weigh one together.

    Attributes:
        weight_N: Of each sample.
        vector_ND: Vectors, none longer than sqrt(D).
        label_N: Their classes.
        count_K: Units.
        first_KD: Vectors, summed.
    """

    weight_N: Doubles
    vector_ND: Doubles
    label_N: NDArray[np.int64]
    count_K: Doubles
    first_KD: Doubles

    @classmethod
    def of(cls, private: LabelledFeatures, classes: int) -> "_Sums":
        codes = np.unique(private.unit, return_inverse=True)[1]
        weight = 1.0 / np.bincount(codes)[codes]
        vectors = _bounded(private.features.double().numpy())
        count = np.bincount(private.label, weight, minlength=classes).astype(np.float64)
        return cls(weight, vectors, private.label, count, _by_class(weight[:, None] * vectors, private.label, classes))

    @property
    def units(self) -> int:
        return round(float(self.count_K.sum()))

    @property
    def width(self) -> int:
        return int(self.vector_ND.shape[1])


@dataclass(frozen=True, eq=False, slots=True)
class _Teller:
    """Makes moments of sums.

    Attributes:
        sums: The owner's.
        count_K: Units of each class as they are told; zero for classes that are not.
        disclosure: The owner's policy.
        rng: Of its noise.
        part: Of the epsilon, for means.
    """

    sums: _Sums
    count_K: Doubles
    disclosure: Disclosure
    rng: np.random.Generator
    part: float

    def means(self) -> tuple[Doubles, Declaration]:
        """[K, D]; zero for classes that are not told."""
        noisy = self._noisy(self.sums.first_KD, self.part)
        told = noisy / np.maximum(self.count_K, 1)[:, None] * (self.count_K > 0)[:, None]
        return told, self._declared("sum of the vectors of each class, told as their mean", self.part)

    def spread(self, covariance: str, mean_KD: Doubles) -> tuple[Doubles, Declaration]:
        """In the covariance's shape."""
        sums, what = self.sums, "sum of the vectors' squares, told as variances around the classes' means"
        if covariance == FULL:
            apart = (sums.vector_ND - mean_KD[sums.label_N]) * (sums.weight_N * self._told())[:, None] ** 0.5
            whole = apart.T @ apart / max(1.0, float((sums.weight_N * self._told()).sum()))
            return whole, self._declared("covariance of the vectors around their class's mean", _SPREAD)
        classes = len(self.count_K)
        squares = _by_class(sums.weight_N[:, None] * sums.vector_ND**2, sums.label_N, classes)
        if covariance == POOLED:
            # What is not told of a class is not told in the sum over classes either.
            squares = (squares * (self.count_K > 0)[:, None]).sum(0, keepdims=True)
        noisy = self._noisy(squares, _SPREAD)
        count = np.maximum(self.count_K, 1)
        around = mean_KD**2 - self._mean_noise()[:, None]
        if covariance == POOLED:
            count, around = np.maximum(self.count_K.sum(keepdims=True), 1), self._weighted(around)
        told = np.maximum(noisy / count[:, None] - around, _LEAST)
        return (told[0] if covariance == POOLED else told), self._declared(what, _SPREAD)

    def _told(self) -> Doubles:
        """Whether the class of each sample is told, [N]."""
        found: Doubles = (self.count_K > 0)[self.sums.label_N].astype(np.float64)
        return found

    def _weighted(self, values_KD: Doubles) -> Doubles:
        """Mean over units, [1, D]."""
        shares = self.count_K / max(1.0, float(self.count_K.sum()))
        found: Doubles = (shares @ values_KD)[None]
        return found

    def _mean_noise(self) -> Doubles:
        """Variance that noise adds to each class's mean, by which its square is too large, [K]."""
        if self.disclosure.epsilon is None:
            return np.zeros(len(self.count_K))
        scale = self._sensitivity / (self.disclosure.epsilon * self.part)
        found: Doubles = 2 * (scale / np.maximum(self.count_K, 1)) ** 2 * (self.count_K > 0)
        return found

    @property
    def _sensitivity(self) -> float:
        return 2.0 * self.sums.width

    def _noisy(self, sums: Doubles, part: float) -> Doubles:
        epsilon = self.disclosure.epsilon
        return sums if epsilon is None else laplace(sums, self._sensitivity / (epsilon * part), self.rng)

    def _declared(self, what: str, part: float) -> Declaration:
        epsilon = self.disclosure.epsilon
        return Declaration(
            what=what,
            unit="unit",
            units=self.sums.units,
            smallest=self.disclosure.smallest,
            sensitivity=self._sensitivity,
            epsilon=None if epsilon is None else epsilon * part,
        )


def _bounded(vectors_ND: Doubles) -> Doubles:
    """No longer than sqrt(D), whatever the stem was."""
    length = np.sqrt(np.square(vectors_ND).sum(1, keepdims=True))
    found: Doubles = vectors_ND / np.maximum(length / vectors_ND.shape[1] ** 0.5, 1)
    return found


def _by_class(values_ND: Doubles, label_N: NDArray[np.int64], classes: int) -> Doubles:
    """Summed, [K, D]."""
    found = np.zeros((classes, values_ND.shape[1]))
    np.add.at(found, label_N, values_ND)
    return found


def _single(values: Doubles) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))
