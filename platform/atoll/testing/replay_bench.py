"""What replay generators are tried on: small teachers, owners' data and public contexts, by workload."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm

from atoll.replay import Teacher, Vocabulary
from atoll.workloads.classification import ClassList, FeatureSpace, LabelledFeatures
from atoll.workloads.mobility.city import City
from atoll.workloads.mobility.trajectories import Trajectories, starts

_TOKENS, _END, _LOCATIONS = 11, 10, 13
_CLASSES, _WIDTH = 4, 8


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class ReplayBench:
    """What a generator is tried on.

    Attributes:
        private: An owner's data.
        units: How many users or documents it is of.
        context: What is public of its domain.
        teacher: An earlier model; what it says of a sample must not depend on others in the batch.
        templates: What samples are aligned to, or ``None``.
        choices: By name of a sample's tensor, how many values there are for its entries: from 0 on.
    """

    private: Any
    units: int
    context: Any
    teacher: Teacher
    templates: Any
    choices: Mapping[str, int]


@dataclass(eq=False, slots=True)
class _Output:
    logits: Tensor


class _ToyWriter(nn.Module):
    """Scores from the last two tokens; two more columns than there are tokens, and they are the likeliest."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.table = nn.Parameter(torch.randn(_TOKENS, _TOKENS, _TOKENS + 2, generator=generator), requires_grad=False)
        self.table[..., -2:] = 50.0

    def forward(self, input_ids: Tensor, **_: Any) -> _Output:
        """[B, S] to [B, S, V]."""
        before = torch.cat([input_ids[:, :1], input_ids[:, :-1]], 1)
        return _Output(self.table[before, input_ids])


class _ToyWalker(nn.Module):
    """Scores from the last visit's place, time and jump, with the signature of a mobility model."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.table = nn.Parameter(torch.randn(_LOCATIONS, 48, _LOCATIONS, generator=generator), requires_grad=False)

    def forward(
        self,
        location: Tensor,
        day: Tensor,
        slot: Tensor,
        wait: Tensor,
        jump: Tensor,
        radius: Tensor,
        entropy: Tensor,
        mask: Tensor,
        locations: Tensor,
        **_: Any,
    ) -> _Output:
        """[B, S] to [B, S, n]."""
        return _Output(self.table[location, slot] * (1 + jump[..., None]).log1p())


def _text() -> ReplayBench:
    rng = np.random.default_rng(0)
    documents = [rng.integers(0, _TOKENS - 1, length) for length in rng.integers(1, 40, 30)]
    return ReplayBench(
        private=documents,
        units=30,
        context=Vocabulary(size=_TOKENS, end=_END, longest=24),
        teacher=Teacher(_ToyWriter().eval()),
        templates=None,
        choices={"input_ids": _TOKENS},
    )


def _mobility() -> ReplayBench:
    rng = np.random.default_rng(0)
    features = np.zeros((_LOCATIONS, 71), dtype=np.float32)
    features[:, -3:-1] = rng.normal(size=(_LOCATIONS, 2))
    return ReplayBench(
        private=_trajectories(rng, 40, users=8, locations=_LOCATIONS),
        units=8,
        context=City("old", features),
        teacher=Teacher(_ToyWalker().eval()),
        # Of a larger city: none of its places may come through.
        templates=_trajectories(rng, 6, users=3, locations=200),
        choices={"location": _LOCATIONS},
    )


def _trajectories(rng: np.random.Generator, count: int, *, users: int, locations: int) -> Trajectories:
    """Random visits of so many users, each of whom has at least one trajectory."""
    lengths = rng.integers(1, 20, count)
    visits = int(lengths.sum())
    return Trajectories(
        user=np.arange(count) % users,
        radius=rng.exponential(3, count).astype(np.float32),
        entropy=rng.exponential(1, count).astype(np.float32),
        start=starts(lengths),
        location=rng.integers(0, locations, visits, dtype=np.int32),
        day=rng.integers(0, 7, visits, dtype=np.int8),
        slot=rng.integers(0, 48, visits, dtype=np.int8),
        wait=rng.integers(0, 9, visits).astype(np.float32),
        jump=rng.exponential(2, visits).astype(np.float32),
    )


class _ToyJudge(nn.Module):
    """Scores of classes from a vector, with the signature of a classifier."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.rows = nn.Parameter(torch.randn(_CLASSES + 2, _WIDTH, generator=generator), requires_grad=False)

    def forward(self, features: Tensor, classes: Tensor, **_: Any) -> _Output:
        """[B, 1, D] or [B, D] to [B, 1, K]."""
        return _Output(features.reshape(-1, 1, _WIDTH) @ self.rows[classes].T)


def _images() -> ReplayBench:
    rng = np.random.default_rng(0)
    label = rng.integers(0, _CLASSES - 1, 60)  # there is a class of which nobody has a sample
    vectors = torch.from_numpy(rng.normal(size=(60, _WIDTH)) + np.eye(_CLASSES, _WIDTH)[label] * 3)
    return ReplayBench(
        private=LabelledFeatures(layer_norm(vectors, (_WIDTH,)).float(), label, np.arange(60) % 20),
        units=20,
        context=FeatureSpace(ClassList(tuple("abcd")), _WIDTH),
        teacher=Teacher(_ToyJudge().eval()),
        templates=None,
        choices={"label": _CLASSES},
    )


BENCHES: Mapping[str, Callable[[], ReplayBench]] = {"text": _text, "mobility": _mobility, "images": _images}
"""By workload."""
