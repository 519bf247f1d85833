"""Baseline ``sequential``: fine-tuning on one stage after the other."""

from dataclasses import dataclass
from typing import ClassVar, Literal, final

from atoll.continual.baseline import Baseline, Observe, Sees, World
from atoll.strategies.baselines.fit import fit_stage


@final
@dataclass(frozen=True, slots=True)
class Sequential(Baseline):
    """The lower bound: nothing is done against forgetting."""

    name: ClassVar[str] = "sequential"
    sees: ClassVar[Sees] = "nothing"
    bound: ClassVar[Literal["upper", "lower", ""]] = "lower"

    def run(self, world: World, observe: Observe) -> None:
        """Go on from the model as the stage before left it."""
        model = world.fresh()
        for stage, owners in enumerate(world.stages, 1):
            fit_stage(model, world, owners, f"baseline '{self.name}', stage {stage}")
            observe(stage, model)
