"""Replay ``gaussian``: vectors of the anchor's frozen stem, drawn from a normal distribution for each class.

What van de Ven, Siegelmann and Tolias 2020 (doi 10.1038/s41467-020-17866-2) call internal replay: not samples are drawn
but what a frozen first part of the model says of them. The distribution is that of the class-conditional Gaussians of
prototype methods, such as PASS (Zhu et al. 2021, CVPR, section 3.2), with spreads of their own. The teacher says what
is to be distilled; the class that a vector was drawn for is a hint for whoever trains on labels.

Shapes: N samples, K classes, D width of a vector, B drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from atoll.errors import ConfigError
from atoll.replay import Disclosure, Prior, Replay, Sample, Teacher
from atoll.replay.replay import check_draw
from atoll.replay.sampling import draw_alike, streams
from atoll.strategies.replay.moments import (
    COVARIANCES,
    DIAGONAL,
    FULL,
    ISOTROPIC,
    isotropic_variance,
    told_moments,
    told_shapes,
)
from atoll.strategies.replay.vectors import as_samples, as_stem, check_private, in_steps, said, side_by_side
from atoll.workloads.classification import FeatureSpace, LabelledFeatures

_CLASS, _MEAN = "class", "mean"


@final
@dataclass(frozen=True, slots=True)
class Gaussian(Replay):
    """Shares of the classes, a mean for each, and how vectors spread around it.

    Without a prior, vectors point anywhere alike, and their class is what the teacher says.

    Attributes:
        covariance: ``isotropic``, one variance, which follows from the means and the vectors' common length, so that
            all of an owner's noise is left for the means; ``pooled``, variances that all classes share, [D];
            ``diagonal``, variances for each class, [K, D]; ``full``, one whole covariance that all classes share, [D,
            D], which comes nearest to real data, and which an owner that asks for noise does not tell: D² sums bear
            more of it than they are worth.

    Raises:
        ConfigError: another covariance.
    """

    name: ClassVar[str] = "gaussian"
    workloads: ClassVar[tuple[str, ...]] = ("images", "tabular")
    above: ClassVar[str] = "stem"
    covariance: str = ISOTROPIC

    def __post_init__(self) -> None:
        if self.covariance not in COVARIANCES:
            raise ConfigError(
                f"replay gaussian: covariance is '{self.covariance}'; it is one of {', '.join(COVARIANCES)}"
            )

    def remember(self, private: LabelledFeatures, context: FeatureSpace, disclosure: Disclosure) -> Prior:
        """Moments of the vectors by class; a person with many samples weighs as much as one with a single one.

        Raises:
            DataError: no samples, or vectors of another width.
            ConfigError: noise on a full covariance.
        """
        check_private(self.name, private, context)
        tensors, declared = told_moments(private, len(context.classes), self.covariance, disclosure)
        return Prior(generator=self.name, settings={"covariance": self.covariance}, tensors=tensors, declared=declared)

    def generate(
        self,
        teacher: Teacher,
        prior: Prior | None,
        context: FeatureSpace,
        *,
        budget: int,
        seed: int,
        templates: object = None,
        batch: int = 64,
    ) -> list[Sample]:
        """Samples as ``features`` float32 [1, D], of the stem's own length, and ``label`` int64 []."""
        check_draw(self.name, budget, batch)
        if templates is not None:
            raise ConfigError("replay gaussian: it aligns samples to nothing; give no templates")
        uniform = streams(seed, range(budget), 1 + context.width)
        normal_BD = torch.special.ndtri(uniform[:, 1:].clamp_min(1e-15))
        if prior is None:
            vectors = as_stem(normal_BD)
            labels = said(teacher, vectors, context, batch)
        else:
            labels, vectors = self._drawn(prior, context, uniform[:, 0], normal_BD)
        return as_samples(vectors, labels)

    def tokens(self, sample: Sample) -> NDArray[np.int64]:
        """The vector's coordinates, in steps of a quarter."""
        return in_steps(sample["features"][0])

    def private_tokens(self, private: LabelledFeatures) -> list[NDArray[np.int64]]:
        """The same of the owner's own vectors."""
        return [in_steps(vector) for vector in private.features]

    def batch(self, samples: Sequence[Sample], context: FeatureSpace) -> tuple[dict[str, Tensor], Tensor]:
        """``features`` [B, 1, D], ``classes`` [K], and ``label`` [B], which the model does not look at."""
        return side_by_side(samples, context)

    def _drawn(
        self, prior: Prior, context: FeatureSpace, uniform_B: Tensor, normal_BD: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Classes [B] and vectors [B, D] by the prior."""
        shapes = told_shapes(self.covariance, len(context.classes), context.width)
        prior.expect(self.name, {"covariance": self.covariance}, shapes, shares=(_CLASS,))
        labels = draw_alike(prior.tensors[_CLASS].double(), uniform_B)
        around = self._around(prior, labels, normal_BD)
        return labels, as_stem(prior.tensors[_MEAN].double()[labels] + around)

    def _around(self, prior: Prior, labels_B: Tensor, normal_BD: Tensor) -> Tensor:
        """How far each vector is from its class's mean, [B, D]."""
        if self.covariance == ISOTROPIC:
            return normal_BD.mul(isotropic_variance(prior) ** 0.5)
        spread = prior.tensors[self.covariance].double()
        if self.covariance == FULL:
            values, directions = torch.linalg.eigh((spread + spread.T) / 2)
            return normal_BD.matmul((directions * values.clamp_min(0).sqrt()).T)
        deviations = spread.clamp_min(0).sqrt()
        return normal_BD.mul(deviations[labels_B] if self.covariance == DIAGONAL else deviations)
