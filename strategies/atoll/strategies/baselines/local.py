"""Baseline ``local``: each silo by itself."""

from dataclasses import dataclass
from typing import ClassVar, final

from atoll.continual.baseline import Baseline, Observe, Sees, World
from atoll.strategies.baselines.fit import fit_stage


@final
@dataclass(frozen=True, slots=True)
class Local(Baseline):
    """Every silo trains a model of its own from the anchor, and nobody learns from anybody."""

    name: ClassVar[str] = "local"
    sees: ClassVar[Sees] = "nothing"

    def run(self, world: World, observe: Observe) -> None:
        """Begin anew with every silo."""
        for stage, owners in enumerate(world.stages, 1):
            for owner in owners:
                model = world.fresh()
                fit_stage(model, world, [owner], f"baseline '{self.name}', stage {stage}, silo '{owner}'")
                observe(stage, model, owner)
