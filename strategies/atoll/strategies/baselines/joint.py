"""Baseline ``joint``: one model trained on the data of all silos at once."""

from dataclasses import dataclass
from typing import ClassVar, Literal, final

from atoll.continual.baseline import Baseline, Observe, Sees, World
from atoll.strategies.baselines.fit import fit_stage


@final
@dataclass(frozen=True, slots=True)
class Joint(Baseline):
    """The upper bound: all data in one place, with the steps of all arrivals together.

    There are no stages in it; it is observed once, with the last.
    """

    name: ClassVar[str] = "joint"
    sees: ClassVar[Sees] = "earlier data"
    bound: ClassVar[Literal["upper", "lower", ""]] = "upper"

    def run(self, world: World, observe: Observe) -> None:
        """Train once; batches are of one silo each, in turn."""
        model = world.fresh()
        fit_stage(model, world, world.owners, f"baseline '{self.name}', all stages")
        observe(len(world.stages), model)
