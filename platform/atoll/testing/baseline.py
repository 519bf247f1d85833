"""What every baseline of a stream promises, as a check."""

import contextlib
import copy
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from atoll.continual.baseline import Baseline, World, measure
from atoll.testing.world import toy_world
from atoll.workloads.workload import Workload

_READERS = ("samples", "described", "replay_private", "replay_templates")
"""What of a workload gives data away."""


def check_baseline(baseline: Baseline, world: World | None = None) -> None:
    """Stages come in order, the seed decides all, something is learned, and no data is read that it does not see.

    Args:
        baseline: The method.
        world: What it is tried on; three toy silos that arrive one by one if not given. Their workloads must take new
            attributes.

    Raises:
        AssertionError: a promise that is broken.
    """
    with tempfile.TemporaryDirectory() as folder, torch.random.fork_rng(devices=[]):
        world = world or toy_world(Path(folder))
        before = _weights(world.model())
        seen = _run(baseline, world)
        after = _weights(world.model())
        assert all(torch.equal(before[name], after[name]) for name in before), "it changed the anchor"
        _check_stages(seen, world)
        _check_learned(seen, world)
        guard = _Guard(world, baseline, jumps=len(seen) == 1)
        if not _same(seen, _run(baseline, guard.world, guard.observed)):
            assert _same(seen, _run(baseline, world)), "the same seed gave another model"
            raise AssertionError("it depends on data that it says it does not see: without it, the model is another")
        other = _run(baseline, replace(world, seed=world.seed + 1), _stop)
        unmoved = _same(seen[:1], other)
        assert unmoved != baseline.seeded, (
            "another seed gave the same model"
            if unmoved
            else "it says that nothing of it is random, and another seed gave another model"
        )


@dataclass(frozen=True, eq=False, slots=True)
class _Seen:
    """What was observed once."""

    stage: int
    owner: str | None
    weights: dict[str, Tensor]
    losses: dict[str, float]


class _StopError(Exception):
    """One model was all that was wanted."""


def _stop(stage: int, owner: str | None) -> None:
    raise _StopError


class _Guard:
    """Workloads that are there for those who may read them, and for nobody else."""

    def __init__(self, world: World, baseline: Baseline, *, jumps: bool) -> None:
        self._came = {owner: stage for stage, owners in enumerate(world.stages, 1) for owner in owners}
        self._blind = baseline.sees == "nothing"
        self._left = [len(owners) for owners in world.stages]
        self._stage = len(world.stages) if jumps else 1
        closed = {owner: self._closed(owner, world.workloads[owner]) for owner in world.owners}
        self.world = replace(world, workloads=closed)

    def observed(self, stage: int, owner: str | None) -> None:
        """The stage is over, or the turn of one of its silos."""
        self._left[stage - 1] -= 1
        if owner is None or not self._left[stage - 1]:
            self._stage = stage + 1

    def _closed(self, owner: str, workload: Workload) -> Workload:
        guarded = copy.copy(workload)
        for name in _READERS:
            setattr(guarded, name, self._asked(owner, getattr(workload, name)))
        return guarded

    def _asked(self, owner: str, read: Callable[..., Any]) -> Callable[..., Any]:
        def asked(*args: Any, **kwargs: Any) -> Any:
            came = self._came[owner]
            assert "test" not in (*args, *kwargs.values()), f"it read the test data of '{owner}'"
            assert came <= self._stage, f"it read the data of '{owner}' at stage {self._stage}, before it came"
            assert came == self._stage or not self._blind, (
                f"it says that it sees nothing of earlier silos, and read the data of '{owner}' at stage {self._stage}"
            )
            return read(*args, **kwargs)

        return asked


def _run(baseline: Baseline, world: World, told: Callable[[int, str | None], None] | None = None) -> list[_Seen]:
    """What was observed; losses only where nobody else is told."""
    found: list[_Seen] = []

    def observe(stage: int, model: nn.Module, owner: str | None = None) -> None:
        assert not model.training, "a model is in training mode when it is observed"
        losses = {one: _loss(model, world.workloads[one]) for one in world.owners} if told is None else {}
        found.append(_Seen(stage, owner, _weights(model), losses))
        if told is not None:
            told(stage, owner)

    # Every run finds torch's global numbers at another place, and must not notice.
    torch.rand(1)
    with contextlib.suppress(_StopError):
        baseline.run(world, observe)
    return found


def _loss(model: nn.Module, workload: Workload) -> float:
    return measure(model, workload, "test", 8, 8)["loss"]


def _check_stages(seen: Sequence[_Seen], world: World) -> None:
    told = [(one.stage, one.owner) for one in seen]
    stages = [(stage, None) for stage in range(1, len(world.stages) + 1)]
    each = [(stage, owner) for stage, owners in enumerate(world.stages, 1) for owner in owners]
    assert told in (stages, each, stages[-1:]), (
        f"it told of {told}: tell of every stage in order, of every silo of every stage, or of the last stage alone"
    )


def _check_learned(seen: Sequence[_Seen], world: World) -> None:
    last, anchor = seen[-1], world.model().eval()
    for owner in world.stages[-1] if last.owner is None else [last.owner]:
        start = _loss(anchor, world.workloads[owner])
        assert last.losses[owner] < start, (
            f"after its stage the loss on '{owner}' is {last.losses[owner]:.3f}, no less than the anchor's {start:.3f}"
        )


def _weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def _same(one: Sequence[_Seen], other: Sequence[_Seen]) -> bool:
    pairs = zip(one, other, strict=True)
    return all(torch.equal(a.weights[name], b.weights[name]) for a, b in pairs for name in a.weights)
