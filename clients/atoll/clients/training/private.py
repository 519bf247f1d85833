"""One step of DP-SGD on an expert (Abadi et al. 2016, arXiv 1607.00133, algorithm 1).

What one unit adds to the gradient has to be known by itself. Where all that is trained is weights of linear modules,
as for experts of kind ``lora`` and for feed-forward blocks in the anchor's place, it follows from what went into each
module and the gradient of what came out, for many sequences in one pass (Goodfellow 2015, arXiv 1510.01799), and no
unit's whole gradient is ever there. Anything else, such as a block beside the anchor's with its router, is run unit by
unit, which is slower and asks nothing of the model.

Shapes: B sequences, S positions, I and O what enters and leaves a linear module, U units.
"""

import contextlib
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from atoll.clients.training.privacy_plan import Drawn, PrivacyPlan
from atoll.clients.training.trainable import Trainable
from atoll.errors import DataError
from atoll.workloads.workload import Batch

Loss = Callable[[Tensor, Mapping[str, Tensor]], tuple[Tensor, int]]
"""From logits and a batch's targets to a loss that is a sum over sequences, and over how many tokens the sum goes."""

Gradients = dict[str, Tensor]
_REMEDY = "lower training.learning_rate, or use training.precision=fp32"


@dataclass(frozen=True, slots=True)
class PrivateData:
    """The training split, as a workload gives it.

    Attributes:
        samples: These sequences as one batch.
        loss: What is made small. Neither it nor the model may let one sequence's loss depend on another.
        predicts: Positions that the loss looks at, bool [B, S].
    """

    samples: Callable[[Sequence[int]], Batch]
    loss: Loss
    predicts: Callable[[Mapping[str, Tensor]], Tensor]


def private_step(
    trainable: Trainable,
    optimizer: torch.optim.Optimizer,
    data: PrivateData,
    drawn: Drawn,
    plan: PrivacyPlan,
    generator: np.random.Generator,
    *,
    precision: str = "fp32",
) -> float | None:
    """One optimizer step on clipped gradients with noise.

    Args:
        trainable: What is trained; its auxiliary loss counts for each unit alone.
        optimizer: Over the trainable's parameters; whatever it does with the gradient is post-processing.
        data: The training split.
        drawn: What the step looks at, by :func:`atoll.clients.training.privacy_plan.draw`.
        plan: Clipping and noise.
        generator: The step's own, after the draw.
        precision: ``fp32`` or ``bf16`` (autocast), of the model alone.

    Returns:
        Mean loss, in nats a token; ``None`` where no unit was drawn, and the step is noise alone. It is not private,
        and not to leave the owner.

    Raises:
        DataError: the loss or its gradient became NaN or infinite; nothing was changed.
    """
    noisy, loss = private_gradients(trainable, data, drawn, plan, generator, precision=precision)
    for name, parameter in trainable.parameters.items():
        parameter.grad = noisy[name].to(parameter.dtype)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss


def private_gradients(
    trainable: Trainable,
    data: PrivateData,
    drawn: Drawn,
    plan: PrivacyPlan,
    generator: np.random.Generator,
    *,
    precision: str = "fp32",
) -> tuple[Gradients, float | None]:
    """The step's gradient, safe to use: the clipped sum with noise, over the number of units expected in a step.

    For a step that also looks at what is nobody's, such as replay of the previous release: add that gradient to it.

    Args, results and errors are those of :func:`private_step`; float32, by the trainable's names.
    """
    total, loss = clipped_gradients(trainable, data, drawn, plan, precision=precision)
    for value in total.values():
        noise = torch.from_numpy(generator.standard_normal(tuple(value.shape), dtype=np.float32))
        value.add_(noise.to(value.device), alpha=plan.noise * plan.clip).div_(plan.expected)
    return total, loss


def clipped_gradients(
    trainable: Trainable, data: PrivateData, drawn: Drawn, plan: PrivacyPlan, *, precision: str = "fp32"
) -> tuple[Gradients, float | None]:
    """Sum of the units' gradients, each clipped to the norm ``plan.clip``, without noise; and the mean loss.

    A unit's loss is the mean over all that is predicted in its sequences.

    Args, results and errors are those of :func:`private_step`; float32, by the trainable's names.
    """
    total = {name: torch.zeros_like(value, dtype=torch.float32) for name, value in trainable.parameters.items()}
    linears = _linears(trainable)
    loss, predicted = 0.0, 0
    for part in _parts(drawn, plan.chunk if linears else 1):
        found = _together(trainable, linears, data, part, plan.clip, precision) if linears else None
        for one in (
            [found] if found else (_alone(trainable, data, unit, plan.clip, precision) for unit in _parts(part, 1))
        ):
            for name, value in one.clipped.items():
                total[name] += value
            loss, predicted = loss + one.loss, predicted + one.predicted
    if not math.isfinite(loss):
        raise DataError(f"training diverged: the training loss is {loss}; {_REMEDY}")
    return total, loss / max(1, predicted) if len(drawn.units) else None


@dataclass(frozen=True, eq=False, slots=True)
class _Found:
    """What some units add: the sum of their clipped gradients, their summed loss and over how many tokens it goes."""

    clipped: Gradients
    loss: float
    predicted: int


def _together(
    trainable: Trainable, linears: Mapping[str, nn.Linear], data: PrivateData, part: Drawn, clip: float, precision: str
) -> _Found | None:
    """From one pass; ``None`` where the modules do not tell sequences apart, or an auxiliary loss joins them."""
    with _watched(linears) as calls:
        loss, predicted_BS = _run(trainable, data, part, precision)
    # Rows and columns are sequences and positions, or there is no telling whose a row is.
    apart = all(calls[name] and all(x.shape[:-1] == predicted_BS.shape for x, _ in calls[name]) for name in linears)
    if not apart or trainable.auxiliary_loss() is not None:
        return None
    counts_B = predicted_BS.sum(1)
    outputs = [output for name in linears for _, output in calls[name]]
    slopes = iter(torch.autograd.grad(loss, outputs, materialize_grads=True))
    seen: dict[str, tuple[Tensor, Tensor]] = {}
    for name in linears:
        # A module that is called more than once is as one that saw all those positions.
        entered_BSI = torch.cat([entered.float() for entered, _ in calls[name]], 1)
        seen[name] = entered_BSI, torch.cat([next(slopes).float() for _ in calls[name]], 1)
    rows = [slice(*edge) for edge in pairwise(_edges(part))]
    counts_U = torch.stack([counts_B[row].sum() for row in rows]).clamp(min=1)
    squares_U = torch.stack([_norm([_weight(x[row], g[row]) for x, g in seen.values()]).square() for row in rows])
    factors_U = _factors(squares_U.sqrt() / counts_U, clip) / counts_U
    sizes_U = torch.tensor([row.stop - row.start for row in rows], device=factors_U.device)
    factors_B11 = factors_U.repeat_interleave(sizes_U)[:, None, None]
    clipped = {name: _weight(x, g * factors_B11) for name, (x, g) in seen.items()}
    return _Found(clipped, float(loss.detach()), int(counts_B.sum()))


def _alone(trainable: Trainable, data: PrivateData, unit: Drawn, clip: float, precision: str) -> _Found:
    """From a pass of its own."""
    loss, predicted_BS = _run(trainable, data, unit, precision)
    auxiliary = trainable.auxiliary_loss()
    count = int(predicted_BS.sum())
    whole = loss / max(1, count)
    whole = whole if auxiliary is None else whole + auxiliary
    parameters = list(trainable.parameters.values())
    gradients = [value.float() for value in torch.autograd.grad(whole, parameters, materialize_grads=True)]
    factor = _factors(_norm(gradients), clip)
    clipped = {name: value * factor for name, value in zip(trainable.parameters, gradients, strict=True)}
    return _Found(clipped, float(loss.detach()), count)


def _run(trainable: Trainable, data: PrivateData, part: Drawn, precision: str) -> tuple[Tensor, Tensor]:
    """The summed loss of some sequences, and the positions that it looks at, bool [B, S]."""
    device = next(iter(trainable.parameters.values())).device
    batch = data.samples(part.sequences.tolist()).to(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
        logits = trainable.model(**batch.inputs, use_cache=False).logits
    loss, _ = data.loss(logits, batch.targets)
    return loss, data.predicts(batch.targets)


def _linears(trainable: Trainable) -> dict[str, nn.Linear]:
    """The linear module of each trained parameter; empty unless each is one's weight, and of one alone."""
    owners = defaultdict(list)
    for module in trainable.model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            owners[id(parameter)].append(module if type(module) is nn.Linear and name == "weight" else None)
    found: dict[str, nn.Linear] = {}
    for name, parameter in trainable.parameters.items():
        match owners[id(parameter)]:
            case [nn.Linear() as module]:
                found[name] = module
            case _:
                return {}
    return found


@contextlib.contextmanager
def _watched(linears: Mapping[str, nn.Linear]) -> Iterator[dict[str, list[tuple[Tensor, Tensor]]]]:
    """What enters and leaves each module meanwhile."""
    calls: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in linears}

    def note(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        return lambda module, entered, left: calls[name].append((entered[0].detach(), left))

    handles = [module.register_forward_hook(note(name)) for name, module in linears.items()]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def _parts(drawn: Drawn, size: int) -> Iterator[Drawn]:
    """Units in pieces of at most ``size`` sequences; a unit is never split, however many it has."""
    start = 0
    edges = _edges(drawn)
    for edge, following in pairwise([*edges[1:], math.inf]):
        if following - start > size:
            yield Drawn(drawn.sequences[start:edge], drawn.units[start:edge])
            start = int(edge)


def _edges(drawn: Drawn) -> list[int]:
    """Where units begin, and the end."""
    inner = (np.flatnonzero(np.diff(drawn.units)) + 1).tolist()
    return [0, *inner, len(drawn.units)] if len(drawn.units) else [0]


def _weight(entered_BSI: Tensor, slope_BSO: Tensor) -> Tensor:
    """A linear module's gradient, [O, I]."""
    return slope_BSO.flatten(0, 1).T @ entered_BSI.flatten(0, 1)


def _norm(gradients: Sequence[Tensor]) -> Tensor:
    return torch.stack([value.square().sum() for value in gradients]).sum().sqrt()


def _factors(norms: Tensor, clip: float) -> Tensor:
    """What each gradient is multiplied by.

    Raises:
        DataError: a norm is NaN or infinite.
    """
    if not bool(torch.isfinite(norms).all()):
        raise DataError(f"training diverged: a gradient became NaN or infinite; {_REMEDY}")
    return (clip / norms.clamp(min=1e-12)).clamp(max=1.0)
