"""Timings of contenders that are to be compared, taken in turns, so that what slows the machine slows all of them."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor

from atoll.errors import MixtureError

CHOSEN = " (chosen)"
"""Ends the name of the backend that Atoll would take."""


@dataclass(frozen=True, eq=False, slots=True)
class Contender:
    """One implementation of a layer.

    Attributes:
        name: For the table.
        forward: [T, D] to [T, O].
        parameters: What it would train.
    """

    name: str
    forward: Callable[[Tensor], Tensor]
    parameters: Sequence[Tensor]

    def infer(self, x_TD: Tensor) -> None:
        """Forward alone, as in serving."""
        with torch.no_grad():
            self.forward(x_TD)

    def train(self, x_TD: Tensor) -> None:
        """Forward and the gradients of the tokens and of every parameter."""
        x_TD = x_TD.clone().requires_grad_()
        y_TO = self.forward(x_TD)
        torch.autograd.grad(y_TO, [x_TD, *self.parameters], torch.ones_like(y_TO), allow_unused=True)


def check_equal(contenders: Sequence[Contender], x_TD: Tensor, tolerance: float = 1e-4) -> None:
    """Compare outputs, and gradients of the tokens, with the first contender's.

    Raises:
        MixtureError: they differ by more than ``tolerance`` of the largest entry, so timings would mean nothing.
    """
    expected = _output_and_gradient(contenders[0], x_TD)
    for contender in contenders[1:]:
        found = _output_and_gradient(contender, x_TD)
        for what, one, other in zip(("output", "gradient"), found, expected, strict=True):
            difference = float((one - other).abs().max() / other.abs().max())
            if not difference <= tolerance:
                raise MixtureError(
                    f"the {what} of '{contender.name}' differs from that of '{contenders[0].name}' by {difference:.1e} "
                    f"of the largest entry: not the same computation, so there is nothing to time"
                )


def times(contenders: Sequence[Contender], x_TD: Tensor, repeats: int) -> tuple[dict[str, list[float]], ...]:
    """Seconds of every round by contender, of inference and of training; each round runs all in an order of its own."""
    infer: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    train: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for contender in contenders:
        contender.infer(x_TD)
        contender.train(x_TD)
    for turn in range(repeats):
        # Who runs after a large one finds the memory in another state.
        order = random.Random(turn).sample(contenders, len(contenders))
        for contender in order:
            infer[contender.name].append(_seconds(contender.infer, x_TD))
        for contender in order:
            train[contender.name].append(_seconds(contender.train, x_TD))
    return infer, train


def ratio(seconds: Mapping[str, Sequence[float]], name: str, baseline: str) -> float:
    """How many times as fast as the baseline: the median over rounds of the ratio in each."""
    return median(theirs / ours for theirs, ours in zip(seconds[baseline], seconds[name], strict=True))


def _output_and_gradient(contender: Contender, x_TD: Tensor) -> tuple[Tensor, Tensor]:
    x_TD = x_TD.clone().requires_grad_()
    y_TO = contender.forward(x_TD)
    (gradient,) = torch.autograd.grad(y_TO.square().sum(), [x_TD])
    return y_TO.detach(), gradient


def _seconds(step: Callable[[Tensor], None], x_TD: Tensor) -> float:
    _finish(x_TD.device)
    start = time.perf_counter()
    step(x_TD)
    _finish(x_TD.device)
    return time.perf_counter() - start


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
