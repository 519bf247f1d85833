"""The one training loop of all baselines: AdamW, warm-up, a schedule, clipping."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from atoll.continual.baseline import World
from atoll.continual.budget import Budget
from atoll.errors import DataError
from atoll.workloads.workload import Batch, Workload

Further = Callable[[Workload, Batch, Tensor], Tensor]
"""What is added to the loss of a batch, from the model's logits for it [B, S, V]."""


def fit(
    model: nn.Module, loss: Callable[[int], Tensor], steps: int, budget: Budget, where: str, part: range | None = None
) -> None:
    """Make a loss small, in place.

    Args:
        model: All of it is trained.
        loss: Of a step, a scalar.
        steps: Over how many the schedule goes.
        budget: The optimization.
        where: What messages call the training.
        part: The steps that are taken now; all if not given. The optimizer begins anew with every part.

    Raises:
        DataError: the loss or its gradient became NaN or infinite.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = _optimizer(trained, budget)
    for step in range(steps) if part is None else part:
        for group in optimizer.param_groups:
            group["lr"] = budget.rate(step, steps)
        found = loss(step)
        _check("loss", float(found.detach()), where, step)
        found.backward()
        norm = torch.nn.utils.clip_grad_norm_(trained, budget.clip or math.inf)
        _check("norm of the gradient", float(norm), where, step)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def fit_stage(
    model: nn.Module, world: World, owners: Sequence[str], where: str, further: Further | None = None
) -> None:
    """Train on these owners' data, whose batches take turns, with the steps of all their arrivals.

    Raises:
        DataError: training diverged.
    """

    def loss(step: int) -> Tensor:
        return own_loss(model, world, owners[step % len(owners)], step // len(owners), further)

    fit(model, loss, world.training.steps * len(owners), world.training, where)


def own_loss(model: nn.Module, world: World, owner: str, step: int, further: Further | None = None) -> Tensor:
    """Mean loss of an owner's own batch, and what a method adds to it."""
    workload, batch = world.workloads[owner], world.batch(owner, step)
    logits = model(**batch.inputs, use_cache=False).logits
    loss = mean_loss(workload, batch, logits)
    return loss if further is None else loss + further(workload, batch, logits)


def mean_loss(workload: Workload, batch: Batch, logits: Tensor) -> Tensor:
    """In nats a unit."""
    total, count = workload.loss(logits, batch.targets)
    return total / max(1, count)


def _optimizer(trained: Sequence[nn.Parameter], budget: Budget) -> torch.optim.AdamW:
    matrices = [parameter for parameter in trained if parameter.ndim > 1]
    others = [parameter for parameter in trained if parameter.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": budget.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=budget.learning_rate, betas=(0.9, 0.95))


def _check(what: str, value: float, where: str, step: int) -> None:
    if not math.isfinite(value):
        raise DataError(f"{where}: the {what} is {value} at step {step}; lower stream.budget.learning_rate")
