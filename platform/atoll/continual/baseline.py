"""The extension point ``Baseline``: a way for silos to arrive that Atoll's own is held against, on one machine."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol

import torch
from torch import nn

from atoll.continual.budget import Budget
from atoll.continual.checks import check_stages
from atoll.errors import DataError
from atoll.workloads.workload import Batch, Split, Workload

GROUP = "atoll.baselines"
"""Entry points of baselines."""

JOINT, LOCAL = "joint", "local"
"""Names of the baselines that others are measured against."""

Sees = Literal["nothing", "earlier data", "earlier owners"]
"""What of earlier silos is needed when another comes: none of it, their data, or their owners, who train again."""


@dataclass(frozen=True, eq=False, kw_only=True)
class World:
    """A stream of silos whose data all lies here, for baselines to be run on.

    Attributes:
        anchor: Digest of the anchor.
        model: Makes a new copy of the anchor's model, in float32.
        stages: Owners in order of arrival; several may arrive together.
        workloads: Every owner's data, prepared.
        training: What each baseline may spend.
        seed: Of the order of samples and of all other choices.
        device: Where models are trained.

    Raises:
        ConfigError: a budget that cannot be.
        DataError: no stage, a stage of nobody, a name twice, an owner without data.
    """

    anchor: str
    model: Callable[[], nn.Module]
    stages: Sequence[Sequence[str]]
    workloads: Mapping[str, Workload]
    training: Budget = field(default_factory=Budget)
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        object.__setattr__(self, "stages", check_stages("baselines", tuple(map(tuple, self.stages))))
        self.training.check()
        if lacking := sorted(set(self.owners) - set(self.workloads)):
            raise DataError(f"baselines: silo '{lacking[0]}' arrives, and its data is not there")

    @property
    def owners(self) -> tuple[str, ...]:
        """All of them, in order of arrival."""
        return tuple(owner for stage in self.stages for owner in stage)

    def fresh(self) -> nn.Module:
        """A copy of the anchor's model on the device, all of it open for training.

        It is in evaluation mode and stays so: without dropout, training is a function of the seed.
        """
        return self.model().requires_grad_(True).to(self.device).eval()

    def batch(self, owner: str, step: int) -> Batch:
        """The training batch of an owner's step, on the device."""
        workload = self.workloads[owner]
        indices = workload.batch_indices(step, self.training.batch, self.seed)
        return workload.samples("train", indices).to(self.device)


class Observe(Protocol):
    """Is told of models as they are after a stage, and looks at them at once: a model goes on being trained."""

    def __call__(self, stage: int, model: nn.Module, owner: str | None = None) -> None:
        """Look.

        Args:
            stage: Counted from 1.
            model: In evaluation mode; not to be changed.
            owner: Whose model it is, where every silo has one of its own; ``None`` for one model of all.
        """


class Baseline(ABC):
    """A method as a value: a dataclass, whose fields are its options.

    Attributes:
        name: As registered.
        sees: What of earlier silos it needs when another comes.
        bound: Whether it is the ``upper`` or the ``lower`` bound of what methods reach; empty for neither.
        seeded: Whether anything of it is random, and so depends on the world's seed.
        trains: Whether a model is trained, and so goes from one place to another.
    """

    name: ClassVar[str]
    sees: ClassVar[Sees]
    bound: ClassVar[Literal["upper", "lower", ""]] = ""
    seeded: ClassVar[bool] = True
    trains: ClassVar[bool] = True

    @abstractmethod
    def run(self, world: World, observe: Observe) -> None:
        """Let the silos arrive.

        ``observe`` is told of every stage in order: once, or where every silo has a model of its own once for each silo
        of the stage. A method without stages, which trains on everything at once, tells of the last one only. All is a
        function of the world, and test data is never read.

        Raises:
            DataError: training diverged.
        """


@torch.no_grad()
def measure(model: nn.Module, workload: Workload, split: Split, limit: int | None, batch: int) -> dict[str, float]:
    """Mean ``loss``, in nats a unit, and the workload's scores, on the samples that owners' own evaluations take.

    Args:
        model: In evaluation mode.
        workload: Whose data.
        split: Of it.
        limit: Samples at most, evenly spaced; ``None`` or 0 for all.
        batch: Samples in one forward pass.

    Raises:
        DataError: the split is empty, there is nothing to be predicted in it, or a figure is not finite.
    """
    device = next(model.parameters()).device
    indices = workload.evaluation_indices(split, limit or None)
    total, count, sums = 0.0, 0, dict[str, float]()
    for start in range(0, len(indices), batch):
        part = workload.samples(split, indices[start : start + batch]).to(device)
        logits = model(**part.inputs, use_cache=False).logits
        loss, predicted = workload.loss(logits, part.targets)
        total, count = total + float(loss), count + predicted
        for name, value in workload.scores(logits, part.targets).items():
            sums[name] = sums.get(name, 0.0) + value
    odd = [name for name, value in {"loss": total, **sums}.items() if not math.isfinite(value)]
    if odd or not count:
        why = f"the sum of '{odd[0]}' is not finite" if odd else f"there is no {workload.unit} to predict"
        raise DataError(f"the model cannot be measured on {split} data: {why}")
    return {"loss": total / count, **workload.finish(sums, count)}
