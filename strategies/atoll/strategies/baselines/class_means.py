"""Baseline ``class-means``: nothing is trained; a class is where its samples lie in what the anchor's stem says.

Nearest class means on a frozen backbone are the baseline that methods of continual learning have to beat (Janson,
Zhang, Aljundi and Elhoseiny 2022, arXiv 2210.04428). With one covariance of all classes it is streaming linear
discriminant analysis (Hayes and Kanan 2020, arXiv 1909.01520).
"""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from atoll.anchors.classifier import ClassifierModel
from atoll.continual.baseline import Baseline, Observe, Sees, World
from atoll.errors import ConfigError
from atoll.strategies.baselines.discriminant import Sums

_AT_ONCE = 256
"""Samples in one forward pass."""


@final
@dataclass(frozen=True, slots=True)
class ClassMeans(Baseline):
    """Each owner adds its samples' counts, sums and products to those of the owners before it; that is all.

    So there is no forgetting, the order of arrival does not matter, and what leaves a silo are sums. They are exact
    sums, of which one sample could be told; nothing is noised.

    Attributes:
        shrinkage: How far the common covariance is drawn to a sphere: 1 takes the nearest class mean; near 0 is linear
            discriminant analysis.
        doubt: Probability that is spread over all classes, so that a class that nobody has shown has a finite loss.

    Raises:
        ConfigError: a shrinkage outside (0, 1], or a doubt outside (0, 1).
    """

    name: ClassVar[str] = "class-means"
    sees: ClassVar[Sees] = "nothing"
    seeded: ClassVar[bool] = False
    trains: ClassVar[bool] = False
    shrinkage: float = 0.01
    doubt: float = 1e-3

    def __post_init__(self) -> None:
        if not 0 < self.shrinkage <= 1 or not 0 < self.doubt < 1:
            raise ConfigError(
                f"baseline 'class-means': shrinkage {self.shrinkage} must be in (0, 1] and doubt {self.doubt} in (0, 1)"
            )

    def run(self, world: World, observe: Observe) -> None:
        """Read every owner's samples once, when it comes.

        Raises:
            ConfigError: the anchor is no classifier.
        """
        model = world.fresh()
        if not isinstance(model, ClassifierModel):
            raise ConfigError(
                "baseline 'class-means' takes data with classes, and a classifier's anchor such as atoll-images; leave "
                "it out here"
            )
        # The stem's vectors tell classes of unknown data apart better than what the blocks make of them.
        model.model = nn.Identity()  # type: ignore[assignment]
        sums = Sums.none(model.architecture.classes, model.architecture.hidden_size)
        for stage, owners in enumerate(world.stages, 1):
            for owner in owners:
                sums = sums + _sums(model, world, owner, sums)
            model.head = sums.head(self.shrinkage, self.doubt).to(world.device)  # type: ignore[assignment]
            observe(stage, model)


class _Bare(nn.Module):
    """In a head's place: the features themselves."""

    def forward(self, x_BSD: Tensor, classes: Tensor | None = None) -> Tensor:
        return x_BSD


@torch.no_grad()
def _sums(model: ClassifierModel, world: World, owner: str, like: Sums) -> Sums:
    """Of an owner's training samples."""
    workload, found = world.workloads[owner], Sums.none(*like.total.shape)
    model.head = _Bare()  # type: ignore[assignment]
    indices = workload.evaluation_indices("train")
    for start in range(0, len(indices), _AT_ONCE):
        batch = workload.samples("train", indices[start : start + _AT_ONCE]).to(world.device)
        features = model(**batch.inputs, use_cache=False).logits[:, 0]
        found = found + Sums.of(features, batch.inputs["classes"][batch.targets["label"]], len(like.count))
    return found
