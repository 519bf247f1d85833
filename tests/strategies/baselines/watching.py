"""Running baselines and watching what they read."""

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from atoll.continual.baseline import Baseline, World, measure
from atoll.workloads.workload import Batch, Split, Workload


@dataclass(frozen=True, eq=False)
class Stage:
    """What was observed after a stage."""

    number: int
    owner: str | None
    weights: dict[str, Tensor]
    losses: dict[str, float]


def run(baseline: Baseline, world: World) -> list[Stage]:
    found = []

    def observe(stage: int, model: nn.Module, owner: str | None = None) -> None:
        losses = {one: measure(model, world.workloads[one], "test", 16, 16)["loss"] for one in world.owners}
        weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
        found.append(Stage(stage, owner, weights, losses))

    baseline.run(world, observe)
    return found


def same(one: Sequence[Stage], other: Sequence[Stage]) -> bool:
    """Whether all models agree bit for bit."""
    pairs = zip(one, other, strict=True)
    return all(torch.equal(a.weights[name], b.weights[name]) for a, b in pairs for name in a.weights)


def distance(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    return math.sqrt(sum(float((one[name] - other[name]).square().sum()) for name in one))


def watched(world: World, reads: list[tuple[str, tuple[int, ...]]]) -> World:
    """The world, in which every reading of training samples is noted: whose, and which."""
    return replace(world, workloads={owner: _noted(owner, one, reads) for owner, one in world.workloads.items()})


def _noted(owner: str, workload: Workload, reads: list[tuple[str, tuple[int, ...]]]) -> Workload:
    noted: Any = copy.copy(workload)

    def samples(split: Split, indices: Sequence[int]) -> Batch:
        if split == "train":
            reads.append((owner, tuple(indices)))
        return workload.samples(split, indices)

    noted.samples = samples
    found: Workload = noted
    return found


def diverging(world: World, owner: str) -> World:
    """The world, in which the loss on one owner's data is not a number."""
    broken: Any = copy.copy(world.workloads[owner])
    broken.loss = lambda logits, targets: (logits.sum() * float("nan"), 1)
    return replace(world, workloads={**world.workloads, owner: broken})
