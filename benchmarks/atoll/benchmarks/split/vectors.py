"""What a frozen stem says of silos' samples, as a stream of arrays; and the rest of the anchor as a model of them."""

from typing import Any

import torch
from torch import Tensor, nn

from atoll.benchmarks.avalanche.contexts import Context, ContextStream, Samples, Scenario
from atoll.continual.baseline import World
from atoll.workloads.classification import Classification
from atoll.workloads.workload import Split


class AboveStem(nn.Module):
    """A classifier anchor without its stem: vectors [B, D] to scores [B, K] of the first K classes of its head.

    Attributes:
        trunk: The blocks.
        head: It has no parameters.
    """

    def __init__(self, model: Any, classes: int) -> None:
        super().__init__()
        self.trunk = model.model
        self.head = model.head
        self.register_buffer("classes", torch.arange(classes))

    def forward(self, x_BD: Tensor) -> Tensor:
        """Scores [B, K]."""
        scores: Tensor = self.head(self.trunk(x_BD[:, None]), self.classes)[:, 0]
        return scores


def vectors(world: World, scenario: Scenario) -> ContextStream:
    """A world's silos as contexts: the same samples in the same parts, as float32 [N, D].

    Args:
        world: Of a classification workload; every stage has one silo.
        scenario: ``domain`` or ``class``.
    """
    contexts = tuple(_context(owner, world.workloads[owner]) for owner in world.owners)
    return ContextStream(scenario, contexts, 1 + max(label for context in contexts for label in context.classes))


def _context(owner: str, workload: Any) -> Context:
    assert isinstance(workload, Classification)

    def part(split: Split) -> Samples:
        found = workload.replay_private(split)
        return Samples(found.features.numpy(), found.label)

    train = part("train")
    return Context(owner, tuple(sorted(set(train.labels.tolist()))), train, part("validation"), part("test"))
