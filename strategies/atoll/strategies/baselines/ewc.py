"""Baseline ``ewc``: elastic weight consolidation (Kirkpatrick et al. 2017, arXiv 1612.00796), in its online form
(Schwarz et al. 2018, "Progress & Compress", arXiv 1805.06370, section 4).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from atoll.continual.baseline import Baseline, Observe, Sees, World
from atoll.errors import ConfigError
from atoll.strategies.baselines.fit import Further, fit_stage

Tensors = Mapping[str, Tensor]
"""By name of the parameter."""


@final
@dataclass(frozen=True, slots=True)
class Ewc(Baseline):
    """Parameters that mattered to earlier silos are held where they were: ``strength / 2 Σ F (θ - θ*)²``.

    F is the diagonal of the empirical Fisher information: the mean over samples of the squared gradient of a sample's
    log-likelihood, divided by the units that it sums over, so that it is of one unit, as the loss is. Of several silos
    it is the sum. It is computed at the silo when it has arrived; no data is needed of it later.

    Attributes:
        strength: Weight of the penalty, λ.
        decay: What is left of the Fisher information at every later stage, γ; 1 forgets nothing.
        samples: How many of a silo's training samples it rests on.

    Raises:
        ConfigError: a negative strength, a decay outside [0, 1], or no samples.
    """

    name: ClassVar[str] = "ewc"
    sees: ClassVar[Sees] = "nothing"
    strength: float = 1000.0
    decay: float = 1.0
    samples: int = 64

    def __post_init__(self) -> None:
        if not 0 <= self.strength < float("inf") or not 0 <= self.decay <= 1 or self.samples < 1:
            raise ConfigError(
                f"baseline 'ewc': strength {self.strength} must be zero or more, decay {self.decay} in [0, 1] and "
                f"samples {self.samples} at least 1"
            )

    def run(self, world: World, observe: Observe) -> None:
        """Go on from the model as the stage before left it, tied to it from the second stage on."""
        model = world.fresh()
        fisher = {name: torch.zeros_like(value) for name, value in model.named_parameters()}
        for stage, owners in enumerate(world.stages, 1):
            tie = self._tie(model, fisher) if stage > 1 else None
            fit_stage(model, world, owners, f"baseline '{self.name}', stage {stage}", tie)
            fisher = {name: self.decay * value for name, value in fisher.items()}
            for owner in owners:
                for name, value in _fisher(model, world, owner, self.samples).items():
                    fisher[name] += value
            observe(stage, model)

    def _tie(self, model: nn.Module, fisher: Tensors) -> Further:
        before = {name: value.detach().clone() for name, value in model.named_parameters()}

        def penalty(*_: object) -> Tensor:
            moved = {name: (value - before[name]).square() for name, value in model.named_parameters()}
            return self.strength / 2 * torch.stack([(fisher[name] * far).sum() for name, far in moved.items()]).sum()

        return penalty


def _fisher(model: nn.Module, world: World, owner: str, samples: int) -> dict[str, Tensor]:
    """Diagonal of the empirical Fisher information of one silo, a unit."""
    workload, trained = world.workloads[owner], dict(model.named_parameters())
    found = {name: torch.zeros_like(value) for name, value in trained.items()}
    for index in _chosen(world, owner, samples):
        batch = workload.samples("train", [index]).to(world.device)
        total, count = workload.loss(model(**batch.inputs, use_cache=False).logits, batch.targets)
        # A parameter that a sample does not reach, as a token's row that it does not hold, has no gradient.
        gradients = torch.autograd.grad(total, list(trained.values()), allow_unused=True)
        for name, gradient in zip(trained, gradients, strict=True):
            if gradient is not None:
                found[name] += gradient.square() / (max(1, count) * samples)
    return found


def _chosen(world: World, owner: str, samples: int) -> Sequence[int]:
    return world.workloads[owner].batch_indices(0, samples, world.seed)
