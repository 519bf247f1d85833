"""Baseline ``generative-replay``: one whole model that replays itself (Shin, Lee, Kim and Kim 2017, arXiv
1705.08690).
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from atoll.continual.baseline import Baseline, Observe, Sees, World
from atoll.errors import ConfigError
from atoll.federation.units import Choice
from atoll.plugins import build, load, names
from atoll.replay import Disclosure, Distillation, NothingToTell, Prior, Replay, Teacher, replay_loss
from atoll.replay.replay import GROUP
from atoll.strategies.baselines.fit import fit, mean_loss, own_loss
from atoll.workloads.replayed import replayed_batches
from atoll.workloads.workload import Batch, Workload

Told = tuple[Prior | None, bytes | None]
"""What an owner published: its prior, where there was something to tell, and its public context."""


@final
@dataclass(frozen=True, slots=True)
class GenerativeReplay(Baseline):
    """Atoll's replay and distillation without experts: the whole model is trained, and there is no router.

    When a silo comes, samples of every earlier domain are drawn from the model as it was, by what the earlier owners
    published (counts with small cells left out). A step takes a batch of the new silo and one of replay, weighed 1/t
    and 1 - 1/t at stage t.

    Attributes:
        generator: What draws; with an empty name the first that is registered for such data.
        distill: Whether the model is held to what it said of a sample before; else samples are trained on as if they
            were data.
        temperature: Of the distillation.

    A generator that draws what a module of the anchor says, in place of samples, needs that module as it is: there it
    stays frozen.

    Raises:
        ConfigError: a temperature that is not above zero.
    """

    name: ClassVar[str] = "generative-replay"
    sees: ClassVar[Sees] = "nothing"
    generator: Choice = field(default_factory=lambda: Choice(name=""))
    distill: bool = True
    temperature: float = 2.0

    def __post_init__(self) -> None:
        Distillation(temperature=self.temperature)

    def run(self, world: World, observe: Observe) -> None:
        """Go on from the model as the stage before left it, which is the teacher."""
        model, told = self._fresh(world), dict[str, Told]()
        for stage, owners in enumerate(world.stages, 1):
            teacher = copy.deepcopy(model).requires_grad_(False)
            self._arrive(model, teacher, world, owners, self._draw(teacher, world, owners[0], told), stage)
            for owner in owners:
                told[owner] = self._publish(world.workloads[owner])
            observe(stage, model)

    def _fresh(self, world: World) -> nn.Module:
        model = world.fresh()
        if below := self._replay(world.workloads[world.owners[0]]).above:
            model.get_submodule(below).requires_grad_(False)
        return model

    def _replay(self, workload: Workload) -> Replay:
        """The generator for this kind of data."""
        fitting = [name for name in names(GROUP) if workload.name in load(GROUP, name).workloads]
        chosen = self.generator.name or fitting[0]
        if chosen not in fitting:
            raise ConfigError(
                f"baseline '{self.name}': generator '{chosen}' draws no {workload.name}; there are {', '.join(fitting)}"
            )
        found: Replay = build(GROUP, chosen, self.generator.options)
        return found

    def _publish(self, workload: Workload) -> Told:
        context = workload.public_context()
        private: Any = workload.replay_private()
        if not workload.has_public_inputs:
            return None, context
        try:
            return self._replay(workload).remember(private, workload.replay_context(context), Disclosure()), context
        except NothingToTell:
            return None, context

    def _draw(self, teacher: nn.Module, world: World, new: str, told: Mapping[str, Told]) -> list[Batch]:
        """Batches of replay of all earlier domains, which take turns, drawn at a new owner."""
        found: list[list[Batch]] = []
        workload = world.workloads[new]
        for place, (owner, (prior, context)) in enumerate(told.items()):
            share = max(world.training.batch, world.training.replay // len(told))
            replay = self._replay(workload)
            found.append(_replayed(workload, replay, teacher, owner, prior, context, share, world, place))
        longest = max(map(len, found), default=0)
        return [batches[turn % len(batches)] for turn in range(longest) for batches in found]

    def _arrive(
        self,
        model: nn.Module,
        teacher: nn.Module,
        world: World,
        owners: Sequence[str],
        replayed: Sequence[Batch],
        stage: int,
    ) -> None:
        def loss(step: int) -> Tensor:
            owner = owners[step % len(owners)]
            own = own_loss(model, world, owner, step // len(owners))
            if not replayed:
                return own
            old = self._again(model, teacher, world.workloads[owner], replayed[step % len(replayed)])
            return replay_loss(own, old, stage)

        steps = world.training.steps * len(owners)
        fit(model, loss, steps, world.training, f"baseline '{self.name}', stage {stage}")

    def _again(self, model: nn.Module, teacher: nn.Module, workload: Workload, batch: Batch) -> Tensor:
        logits = model(**batch.inputs, use_cache=False).logits
        if not self.distill:
            return mean_loss(workload, batch, logits)
        with torch.no_grad():
            told = teacher(**batch.inputs, use_cache=False).logits
        return Distillation(temperature=self.temperature).loss(told, logits, workload.predicts(batch.targets))


def _replayed(
    workload: Workload,
    replay: Replay,
    teacher: nn.Module,
    owner: str,
    prior: Prior | None,
    context: bytes | None,
    share: int,
    world: World,
    place: int,
) -> list[Batch]:
    batches = replayed_batches(
        workload,
        replay,
        Teacher(teacher),
        prior,
        context,
        budget=share,
        size=world.training.batch,
        owner=owner,
        release=f"sha256:{'0' * 64}",
        experts=[],
        seed=world.seed + place,
    )
    return [batch.to(world.device) for batch in batches]
