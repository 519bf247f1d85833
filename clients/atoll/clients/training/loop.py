"""The training loop: resumable at any step, deterministic in its seed, stopped early by the silo's validation split."""

import math
import os
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from atoll.clients.training.kept_checkpoints import keep
from atoll.clients.training.trainable import Trainable
from atoll.errors import DataError
from atoll.experts.loss_curve import CURVE, append_losses
from atoll.experts.training import TrainingConfig
from atoll.workloads.workload import Batch

Loss = Callable[[Tensor, Mapping[str, Tensor]], tuple[Tensor, int]]
"""From logits and a batch's targets to the summed loss in nats and over how many units the sum goes."""

Step = Callable[[torch.optim.Optimizer, int], tuple[str, int]]
"""Takes the step of that number; returns what may be told of it to anyone, and how many units were read."""


@dataclass(slots=True)
class Progress:
    """Where a training stands; everything that a resumed run must know beside tensors."""

    step: int = 0
    tokens: int = 0
    best_step: int = 0
    best_loss: float = math.inf
    first_loss: float = math.inf
    since_best: int = 0
    stopped: bool = False
    validation: dict[int, float] = field(default_factory=dict)

    def facts(self) -> dict[str, int | float | str | bool]:
        """What an expert's card says of its training."""
        return {"steps": self.step, "best_step": self.best_step, "tokens_seen": self.tokens}


def train(
    trainable: Trainable,
    batch: Callable[[int], Sequence[Batch]],
    loss: Loss,
    validate: Callable[[], float] | None,
    config: TrainingConfig,
    checkpoint: Path,
    report: Callable[[int, int, str], None],
    kept: int = 0,
) -> Progress:
    """Train in place, and leave the parameters with the lowest validation loss in the trainable.

    Args:
        trainable: What is trained.
        batch: The training batch of a step in parts that are run one after the other; a pure function of the step.
        loss: What is made small.
        validate: Mean validation loss of the trainable as it is now, in nats a unit; without it all steps are taken,
            and the parameters of the last one are left.
        config: The optimization.
        checkpoint: A file; where it exists, training goes on from there. It is left in place for a later resume, and
            beside it the losses by step, which stay on this machine.
        report: Told the step, the number of steps and a note, as training goes.
        kept: How many earlier checkpoints are kept beside the last one.

    Raises:
        DataError: the loss or its gradient became NaN or infinite.
    """

    curve = checkpoint.parent / CURVE

    def step(optimizer: torch.optim.Optimizer, number: int) -> tuple[str, int]:
        parts = batch(number)
        found = _step(trainable, optimizer, parts, loss, config, number)
        append_losses(curve, number + 1, training=found)
        return f"loss {found:.3f}", sum(part.units for part in parts)

    state = train_by(trainable, step, validate, config, checkpoint, report, kept)
    for number, found in state.validation.items():
        append_losses(curve, number, validation=found)
    return state


def train_by(
    trainable: Trainable,
    step: Step,
    validate: Callable[[], float] | None,
    config: TrainingConfig,
    checkpoint: Path,
    report: Callable[[int, int, str], None],
    kept: int = 0,
) -> Progress:
    """:func:`train` with steps of another make; they are functions of their number and of the trainable's state alone.

    Without ``validate`` all steps are taken, and the parameters of the last one are left in the trainable.

    Args, results and errors are those of :func:`train`.
    """
    matrices = [p for p in trainable.parameters.values() if p.ndim > 1]
    others = [p for p in trainable.parameters.values() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW([g for g in groups if g["params"]], lr=config.learning_rate, betas=(0.9, 0.95))
    state, best = _resume(trainable, optimizer, checkpoint)
    if validate is not None and not state.validation:
        state.first_loss = state.validation[0] = _finite("validation loss", validate(), 0)
        state.best_loss, best = state.first_loss, _copy(trainable)
    while state.step < config.steps and not state.stopped:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(state.step, config)
        told, units = step(optimizer, state.step)
        state.step, state.tokens = state.step + 1, state.tokens + units
        last = state.step == config.steps
        if validate is None:
            best, state.best_step = {}, state.step
        elif state.step % config.evaluate_every == 0 or last:
            best = _look(trainable, _finite("validation loss", validate(), state.step), config, state, best)
        if state.step % config.checkpoint_every == 0 or last or state.stopped:
            _save(trainable, optimizer, state, best, checkpoint)
            keep(checkpoint, state.step, config.checkpoint_every, config.steps, kept)
        seen = "" if validate is None else f" · best validation {state.best_loss:.3f}"
        report(state.step, config.steps, f"{told}{seen}")
    if validate is not None:
        _restore(trainable, best)
    return state


def learning_rate(step: int, config: TrainingConfig) -> float:
    """The rate of one step, by warm-up and schedule."""
    if step < config.warmup:
        return config.learning_rate * (step + 1) / config.warmup
    done = (step - config.warmup) / max(1, config.steps - config.warmup)
    if config.schedule == "cosine":
        return config.learning_rate * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * done)))
    if config.schedule == "linear":
        return config.learning_rate * (1 - 0.9 * done)
    return config.learning_rate


def _step(
    trainable: Trainable,
    optimizer: torch.optim.Optimizer,
    parts: Sequence[Batch],
    loss: Loss,
    config: TrainingConfig,
    number: int,
) -> float:
    device = next(iter(trainable.parameters.values())).device
    predicted = sum(part.predicted for part in parts)
    mean = 0.0
    for part in parts:
        moved = part.to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16"):
            logits = trainable.model(**moved.inputs, use_cache=False).logits
        total, _ = loss(logits, moved.targets)
        mean += float(total.detach()) * (1 / predicted if part.scale is None else part.scale)
        whole = total / predicted if part.scale is None else total * part.scale
        auxiliary = trainable.auxiliary_loss()
        if auxiliary is not None:
            whole = whole + auxiliary / len(parts)
        whole.backward()
    _finite("training loss", mean, number)
    norm = torch.nn.utils.clip_grad_norm_(trainable.parameters.values(), config.clip or math.inf)
    _finite("norm of the gradient", float(norm), number)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return mean


def _finite(what: str, value: float, step: int) -> float:
    """The value; never one that would spoil the parameters or the checkpoint."""
    if not math.isfinite(value):
        raise DataError(
            f"training diverged: the {what} is {value} at step {step}; lower training.learning_rate, or use "
            "training.precision=fp32"
        )
    return value


def _look(
    trainable: Trainable, loss: float, config: TrainingConfig, state: Progress, best: dict[str, Tensor]
) -> dict[str, Tensor]:
    state.validation[state.step] = loss
    if loss < state.best_loss:
        state.best_loss, state.best_step, state.since_best = loss, state.step, 0
        return _copy(trainable)
    state.since_best += 1
    state.stopped = bool(config.patience) and state.since_best >= config.patience
    return best


def _copy(trainable: Trainable) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in trainable.parameters.items()}


def _restore(trainable: Trainable, tensors: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        for name, parameter in trainable.parameters.items():
            parameter.copy_(tensors[name])


def _save(
    trainable: Trainable, optimizer: torch.optim.Optimizer, state: Progress, best: dict[str, Tensor], path: Path
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    content: dict[str, Any] = {
        "progress": asdict(state),
        "best": best,
        "now": _copy(trainable),
        "optimizer": optimizer.state_dict(),
        "trainable": trainable.state(),
    }
    with partial.open("wb") as handle:
        torch.save(content, handle)
        handle.flush()
        os.fsync(handle.fileno())
    os.replace(partial, path)


def _resume(trainable: Trainable, optimizer: torch.optim.Optimizer, path: Path) -> tuple[Progress, dict[str, Tensor]]:
    content = _saved(path)
    if content is None:
        return Progress(), {}
    _restore(trainable, content["now"])
    optimizer.load_state_dict(content["optimizer"])
    trainable.restore(content.get("trainable", {}))
    return Progress(**content["progress"]), content["best"]


def _saved(path: Path) -> dict[str, Any] | None:
    """What was saved; nothing where it is damaged, so that training begins anew rather than never."""
    try:
        content: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    except (FileNotFoundError, EOFError, RuntimeError, ValueError, LookupError, pickle.UnpicklingError):
        return None
    return content
