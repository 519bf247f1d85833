"""Methods of unlearning on one machine, where everybody's data is at hand: what a federation does not have."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from atoll.benchmarks.unlearning.objectives import (
    anchor_loss,
    gradient_ascent,
    gradient_difference,
    negative_preference,
)
from atoll.errors import ConfigError, DataError
from atoll.mixture import Mixture
from atoll.mixture.adapt import Adapter
from atoll.workloads.scoring import Documents
from atoll.workloads.workload import Batch, Workload

ASCENT, DIFFERENCE, PREFERENCE = OBJECTIVES = ("gradient-ascent", "gradient-difference", "npo")
UOE = "uoe"


@dataclass(frozen=True, kw_only=True)
class Erasure:
    """How long and how hard is unlearned.

    Attributes:
        objective: One of :data:`OBJECTIVES`.
        steps: Optimizer steps at most.
        stop: Whether it ends as soon as the loss of a step's documents to be forgotten is what held-out documents of
            the same owner had before: all that whoever has no retrained model can aim at.
        batch: Samples of a step, to be forgotten and to stay, as many of each.
        learning_rate: Constant.
        retain: Weight of what is to stay, where the objective has it.
        beta: Of NPO.
        anchor: Weight of UOE's anchor loss.
        clip: Largest norm of the gradient.
    """

    objective: str
    steps: int = 40
    stop: bool = True
    batch: int = 8
    learning_rate: float = 1e-4
    retain: float = 1.0
    beta: float = 0.1
    anchor: float = 1.0
    clip: float = 1.0

    def check(self) -> None:
        """Raise ConfigError for an objective that there is not."""
        if self.objective not in OBJECTIVES:
            raise ConfigError(f"unlearning by '{self.objective}'; there are {', '.join(OBJECTIVES)}")


@dataclass(frozen=True, eq=False, kw_only=True)
class Sides:
    """What methods of unlearning look at.

    Attributes:
        forget: What is to be forgotten.
        retain: What is to stay, of each other owner.
        enough: Loss in nats a token from which on the first counts as forgotten.
    """

    forget: Documents
    retain: Sequence[Documents]
    enough: float


def unlearn(model: nn.Module, sides: Sides, how: Erasure) -> int:
    """Make a whole model forget, in place; all of it is trained.

    Args:
        model: In evaluation mode, open for training.
        sides: What it is to forget, and to keep.
        how: The method.

    Returns:
        How many steps were taken.

    Raises:
        DataError: a loss that is not finite.
    """
    run = _Losses(lambda batch: model(**batch.inputs, use_cache=False).logits, sides, how)
    return _descend([weight for weight in model.parameters() if weight.requires_grad], run, run.loss, how)


def unlearn_one_expert(mixture: Mixture, sides: Sides, how: Erasure) -> tuple[str, float, int]:
    """UOE (SEUF, arXiv 2411.18797): attribute what is to be forgotten to one expert, and make that one forget.

    Attribution is the mean routing weight on the documents. Only the expert and its own row of the router are trained,
    with the anchor loss on where the documents are routed.

    Returns:
        The attributed expert's owner, its mean routing weight, and how many steps were taken.
    """
    with torch.no_grad(), mixture.use() as call:
        for batch in sides.forget.batches():
            mixture(**batch.inputs, use_cache=False)
        shares = call.shares()
    slot = max(range(1, len(shares)), key=shares.__getitem__)
    owner = mixture.slots[slot]
    adapter = Adapter(mixture, experts=[owner], rows=[owner])
    with mixture.use() as routed:
        run = _Losses(lambda batch: mixture(**batch.inputs, use_cache=False).logits, sides, how)

        def loss(step: int) -> Tensor:
            found = run.forget_loss(step)
            gates = [routing.dense(len(mixture.slots)) for routing in routed.routing.values()]
            return found + how.anchor * anchor_loss(gates, slot) + run.retain_loss(step)

        steps = _descend(list(adapter.parameters.values()), run, loss, how)
    return owner, shares[slot], steps


class _Losses:
    """Losses by step of one objective; batches of what is to be forgotten, and of what is to stay, take turns."""

    def __init__(self, logits: Callable[[Batch], Tensor], sides: Sides, how: Erasure) -> None:
        how.check()
        forget, self.enough, self.latest = sides.forget, sides.enough, 0.0
        self._logits, self._how, self._workload = logits, how, forget.workload
        self._forget = list(forget.batches(how.batch))
        self._retain = _in_turn(sides.retain, how.batch)
        self._reference: list[Tensor] = []
        if how.objective == PREFERENCE:
            with torch.no_grad():
                self._reference = [_sums(forget.workload, logits(batch), batch) for batch in self._forget]

    def loss(self, step: int) -> Tensor:
        """All of the objective."""
        return self.forget_loss(step) + self.retain_loss(step)

    def forget_loss(self, step: int) -> Tensor:
        """On what is to be forgotten."""
        place = step % len(self._forget)
        batch = self._forget[place]
        sums_B = _sums(self._workload, self._logits(batch), batch)
        mean_B = sums_B / _tokens(batch)
        self.latest = float(mean_B.detach().mean())
        if self._how.objective == PREFERENCE:
            return negative_preference(sums_B, self._reference[place], self._how.beta)
        return gradient_ascent(mean_B)

    def retain_loss(self, step: int) -> Tensor:
        """On what is to stay; nothing where the objective does not look at it."""
        workload, batch = self._retain[step % len(self._retain)]
        if self._how.objective == ASCENT:
            return torch.zeros(())
        mean_B = _sums(workload, self._logits(batch), batch) / _tokens(batch)
        return gradient_difference(torch.zeros(1), mean_B, self._how.retain)


def _in_turn(sides: Sequence[Documents], size: int) -> list[tuple[Workload, Batch]]:
    """Batches of several owners in turn, until the first has none left."""
    batches = [list(side.batches(size)) for side in sides]
    rounds = range(min(map(len, batches)))
    return [(side.workload, found[at]) for at in rounds for side, found in zip(sides, batches, strict=True)]


def _descend(weights: Sequence[nn.Parameter], run: _Losses, loss: Callable[[int], Tensor], how: Erasure) -> int:
    """Steps of AdamW; how many were taken."""
    optimizer = torch.optim.AdamW(weights, lr=how.learning_rate, betas=(0.9, 0.95), weight_decay=0.0)
    for step in range(how.steps):
        found = loss(step)
        if how.stop and run.latest >= run.enough:
            return step
        if not bool(torch.isfinite(found)):
            raise DataError(f"unlearning by {how.objective}: the loss is {float(found)} at step {step}")
        found.backward()
        torch.nn.utils.clip_grad_norm_(weights, how.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return how.steps


def _sums(workload: Workload, logits: Tensor, batch: Batch) -> Tensor:
    """Summed loss of each document [B]."""
    rows = [{name: value[row : row + 1] for name, value in batch.targets.items()} for row in range(len(logits))]
    return torch.stack([workload.loss(logits[row : row + 1], target)[0] for row, target in enumerate(rows)])


def _tokens(batch: Batch) -> Tensor:
    return (batch.targets["mask"].sum(-1) - 1).float()
