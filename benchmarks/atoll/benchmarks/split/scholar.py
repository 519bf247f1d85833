"""Deep generative replay with and without distillation, of our own: Avalanche's has hard labels only, and weighs all
contexts alike only by luck.

A scholar is a solver and a generator (Shin, Lee, Kim and Kim 2017, arXiv 1705.08690). At every context both learn from
its data and from what the generator of the context before draws, labelled by the solver of the context before; the
loss on data weighs 1/t and the loss on replay 1 - 1/t (van de Ven and Tolias 2019, arXiv 1904.07734).
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from atoll.benchmarks.avalanche.budget import Budget
from atoll.benchmarks.avalanche.contexts import ContextStream, Samples
from atoll.benchmarks.split.networks import Autoencoder
from atoll.replay import Distillation, replay_loss

IMPOSSIBLE = float("-inf")


@dataclass(frozen=True, eq=False, kw_only=True)
class Scholar:
    """Two networks.

    Attributes:
        solver: From samples to logits [B, C].
        generator: Of samples.
    """

    solver: nn.Module
    generator: Autoencoder

    def frozen(self) -> "Scholar":
        """A copy that is not trained."""
        held = copy.deepcopy(self)
        for network in (held.solver, held.generator):
            network.requires_grad_(False).eval()
        return held


class Replayed:
    """What a frozen scholar says: samples, and labels or softened predictions of each.

    In a task-incremental stream a replayed sample is of no known context, and is asked about under each of those that
    came before (van de Ven and Tolias 2019).
    """

    def __init__(self, teacher: Scholar, stream: ContextStream, stage: int, distillation: Distillation | None) -> None:
        device = teacher.generator.statistics.weight.device
        self.teacher = teacher
        self.distillation = distillation
        earlier = stream.contexts[: stage - 1]
        allowed = stream.allowed().to(device)
        self.choices = allowed[: stage - 1] if stream.scenario == "task" else allowed[:1]
        seen = torch.zeros(stream.classes, dtype=torch.bool, device=device)
        seen[sorted({label for context in earlier for label in context.classes})] = True
        self.seen = seen

    def loss(self, solver: nn.Module, x: Tensor) -> Tensor:
        """Of a solver on replayed samples [B, ...]; a mean over the contexts that are asked about."""
        with torch.no_grad():
            told_BC = self.teacher.solver(x)
        said_BC = solver(x)
        losses = [self._loss(told_BC, said_BC, choice_C) for choice_C in self.choices]
        return torch.stack(losses).mean()

    def _loss(self, told_BC: Tensor, said_BC: Tensor, choice_C: Tensor) -> Tensor:
        # What came later is nothing that the teacher could mean, whatever it says of it.
        told_BC = told_BC.masked_fill(~(choice_C & self.seen), IMPOSSIBLE)
        if self.distillation is None:
            return functional.cross_entropy(said_BC.masked_fill(~choice_C, IMPOSSIBLE), told_BC.argmax(1))
        whole = torch.ones(len(said_BC), dtype=torch.bool, device=said_BC.device)
        return self.distillation.loss(told_BC, said_BC, whole, candidates=choice_C)


def learn(
    scholar: Scholar,
    optimizers: tuple[torch.optim.Optimizer, torch.optim.Optimizer],
    stream: ContextStream,
    stage: int,
    budget: Budget,
    distillation: Distillation | None,
    seed: int,
) -> None:
    """One context, in place: solver and generator side by side, step by step.

    Args:
        scholar: What learns.
        optimizers: Of the solver and of the generator, kept from context to context.
        stream: Where the context is.
        stage: Which, counted from 1.
        budget: Steps and batch; replay has as large a batch.
        distillation: Of the solver's predictions; ``None`` for hard labels.
        seed: Of the order of samples.
    """
    device = next(scholar.solver.parameters()).device
    teacher = scholar.frozen() if stage > 1 else None
    replayed = None if teacher is None else Replayed(teacher, stream, stage, distillation)
    allowed_C = stream.allowed()[stage - 1].to(device)
    batches = shuffled(stream.contexts[stage - 1].train, budget.batch, seed)
    for _ in range(budget.steps):
        x, label_B = (value.to(device) for value in next(batches))
        said_BC = scholar.solver(x).masked_fill(~allowed_C, IMPOSSIBLE)
        loss, made = functional.cross_entropy(said_BC, label_B), scholar.generator.loss(x)
        if replayed is not None:
            old = replayed.teacher.generator.sample(budget.batch)
            loss = replay_loss(loss, replayed.loss(scholar.solver, old), stage)
            made = replay_loss(made, scholar.generator.loss(old), stage)
        for optimizer, value in zip(optimizers, (loss, made), strict=True):
            optimizer.zero_grad()
            value.backward()
            optimizer.step()


def shuffled(samples: Samples, batch: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches without end, epoch after epoch in a new order; the last of an epoch may be smaller."""
    order = torch.Generator().manual_seed(seed)
    x, label = samples.tensors()
    while True:
        for chosen in torch.randperm(len(label), generator=order).split(batch):
            yield x[chosen], label[chosen]
