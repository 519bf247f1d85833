"""Baseline ``lwf``: learning without forgetting (Li and Hoiem 2016, arXiv 1606.09282)."""

import copy
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from atoll.continual.baseline import Baseline, Observe, Sees, World
from atoll.errors import ConfigError
from atoll.replay import Distillation
from atoll.strategies.baselines.fit import Further, fit_stage
from atoll.workloads.workload import Batch, Workload


@final
@dataclass(frozen=True, slots=True)
class Lwf(Baseline):
    """Distillation without replay: on the new silos' own inputs, the model must also say what it said before they came.

    Attributes:
        strength: Weight of the distillation beside the loss (the paper's λ_o, equation 1).
        temperature: Of both models' predictions.

    Raises:
        ConfigError: a negative strength, or a temperature that is not above zero.
    """

    name: ClassVar[str] = "lwf"
    sees: ClassVar[Sees] = "nothing"
    strength: float = 1.0
    temperature: float = 2.0

    def __post_init__(self) -> None:
        if not 0 <= self.strength < float("inf"):
            raise ConfigError(f"baseline 'lwf': strength is {self.strength}; it must be zero or more")
        Distillation(temperature=self.temperature)

    def run(self, world: World, observe: Observe) -> None:
        """From the second stage on, with the model of the stage before as the teacher."""
        model = world.fresh()
        distillation = Distillation(temperature=self.temperature)
        for stage, owners in enumerate(world.stages, 1):
            keep = self._keep(copy.deepcopy(model), distillation) if stage > 1 else None
            fit_stage(model, world, owners, f"baseline '{self.name}', stage {stage}", keep)
            observe(stage, model)

    def _keep(self, teacher: nn.Module, distillation: Distillation) -> Further:
        def keep(workload: Workload, batch: Batch, logits: Tensor) -> Tensor:
            with torch.no_grad():
                told = teacher(**batch.inputs, use_cache=False).logits
            return self.strength * distillation.loss(told, logits, workload.predicts(batch.targets))

        return keep
