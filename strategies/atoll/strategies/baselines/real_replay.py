"""Baseline ``real-replay``: real samples of all earlier silos are kept and trained on again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, final

from torch import Tensor, nn

from atoll.continual.baseline import Baseline, Observe, Sees, World
from atoll.replay import replay_loss
from atoll.strategies.baselines.fit import fit, own_loss
from atoll.strategies.baselines.kept import Kept, kept_of, loss_again


@final
@dataclass(frozen=True, slots=True)
class RealReplay(Baseline):
    """What privacy forbids, and so an upper bound of what replay may reach.

    The budget's samples are shared out among the earlier silos, evenly spaced in their training data. A step takes a
    batch of a new silo and one of an earlier silo, and weighs them 1/t and 1 - 1/t at stage t
    (:func:`atoll.replay.mix_weights`).
    """

    name: ClassVar[str] = "real-replay"
    sees: ClassVar[Sees] = "earlier data"
    bound: ClassVar[Literal["upper", "lower", ""]] = "upper"

    def run(self, world: World, observe: Observe) -> None:
        """Go on from the model as the stage before left it, with what is kept."""
        model, earlier = world.fresh(), list[str]()
        for stage, owners in enumerate(world.stages, 1):
            self._arrive(model, world, owners, kept_of(world, earlier), stage)
            observe(stage, model)
            earlier += owners

    def _arrive(self, model: nn.Module, world: World, owners: Sequence[str], kept: Kept, stage: int) -> None:
        old = list(kept)

        def loss(step: int) -> Tensor:
            own = own_loss(model, world, owners[step % len(owners)], step // len(owners))
            if not old:
                return own
            return replay_loss(own, loss_again(model, world, kept, old[step % len(old)], step // len(old)), stage)

        steps = world.training.steps * len(owners)
        fit(model, loss, steps, world.training, f"baseline '{self.name}', stage {stage}")
