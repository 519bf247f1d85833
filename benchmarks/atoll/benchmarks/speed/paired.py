"""Timings of contenders that are to be compared, taken in turns, so that what slows the machine slows all of them."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import quantiles

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
    infer = {contender.name: partial(contender.infer, x_TD) for contender in contenders}
    train = {contender.name: partial(contender.train, x_TD) for contender in contenders}
    return tuple(in_turns(steps, repeats, x_TD.device) for steps in (infer, train))


def in_turns(
    steps: Mapping[str, Callable[[], object]],
    repeats: int,
    device: torch.device,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds of every round by step, after one round that is not counted; each round has an order of its own.

    Args:
        steps: What is timed, by name.
        repeats: Rounds.
        device: Where the work is done, which may go on after a step returns.
        clock: Seconds from some moment on.
    """
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step()
    for turn in range(repeats):
        # Who runs after a large one finds the memory in another state.
        for name in random.Random(turn).sample(list(steps), len(steps)):
            _finish(device)
            start = clock()
            steps[name]()
            _finish(device)
            seconds[name].append(clock() - start)
    return seconds


def ratio(seconds: Mapping[str, Sequence[float]], name: str, baseline: str) -> float:
    """How many times as fast as the baseline: the median over rounds of the ratio in each."""
    return spread(seconds, name, baseline).median


@dataclass(frozen=True, slots=True)
class Spread:
    """A ratio over rounds: its median, and the quartiles around it."""

    low: float
    median: float
    high: float


def spread(seconds: Mapping[str, Sequence[float]], name: str, baseline: str) -> Spread:
    """How many times as fast as the baseline, with the spread of the ratio over rounds."""
    ratios = [theirs / ours for theirs, ours in zip(seconds[baseline], seconds[name], strict=True)]
    low, middle, high = quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3
    return Spread(low, middle, high)


def _output_and_gradient(contender: Contender, x_TD: Tensor) -> tuple[Tensor, Tensor]:
    x_TD = x_TD.clone().requires_grad_()
    y_TO = contender.forward(x_TD)
    (gradient,) = torch.autograd.grad(y_TO.square().sum(), [x_TD])
    return y_TO.detach(), gradient


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
