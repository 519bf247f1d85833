"""Replay ``movegcl``: the frozen earlier mixture fills the places of trajectories whose times are given.

MoveGCL's construction (Yuan et al. 2025, arXiv 2506.06694): a first location from the old city's shares of first
locations by length, then one location after the other from the teacher, at the times of real or generated trajectories
of somewhere else. In the published code the jumps of those trajectories stay beside the old city's locations, so that
the teacher reads distances that nobody travelled. Here they are measured in the old city as it is filled.

Shapes: B samples, S positions, n locations, L buckets of lengths.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from atoll.errors import ConfigError, DataError
from atoll.replay import Disclosure, Prior, Replay, Sample, Sampling, Teacher
from atoll.replay.disclosure import counted_once, disclosed
from atoll.replay.replay import check_draw
from atoll.replay.sampling import draw, draw_alike, streams
from atoll.workloads.mobility.batches import collate
from atoll.workloads.mobility.city import City
from atoll.workloads.mobility.measures import measured
from atoll.workloads.mobility.trajectories import LONGEST, Trajectories, starts

_FIRST = "first_location"
_VISIT = ("location", "day", "slot", "wait", "jump")
_USER = ("radius", "entropy")
JUMPS = ("recomputed", "template")


@final
@dataclass(frozen=True, slots=True)
class MoveGCL(Replay):
    """First locations from shares of users, times from templates, the rest from the teacher.

    While a trajectory is filled the teacher reads the template's radius of gyration and entropy, since those of the
    trajectory are not known yet; a sample holds its own. Without a prior all locations are alike likely as the first.

    Every position is a forward pass over the visits so far: S passes of up to B·S visits for a batch, and B·n scores
    of each, or B·S·n where the model cannot be asked for the last position alone.

    Attributes:
        sampling: How the next location is drawn; ``uniform_top: 5`` is the published way.
        length_step: Visits of a bucket of lengths, by which first locations are told; the last bucket takes all that
            is longer. The published histograms have a bucket for each length, which is 1 here.
        jumps: ``recomputed`` from the city's coordinates, at every step; ``template``, for the ablation, leaves the
            jumps, the radius and the entropy of the templates in place, as the published code does.
    """

    name: ClassVar[str] = "movegcl"
    workloads: ClassVar[tuple[str, ...]] = ("mobility",)
    sampling: Sampling = field(default_factory=Sampling)
    length_step: int = 12
    jumps: str = "recomputed"

    def __post_init__(self) -> None:
        if self.length_step < 1:
            raise ConfigError(f"replay movegcl: length_step is {self.length_step}; it must be at least 1")
        if self.jumps not in JUMPS:
            raise ConfigError(f"replay movegcl: jumps is '{self.jumps}'; it is {' or '.join(JUMPS)}")

    def remember(self, private: Trajectories, context: City, disclosure: Disclosure) -> Prior:
        """Shares [L, n] of users by length and first location; a user with many trajectories spreads over them."""
        if not len(private):
            raise DataError("replay movegcl: there is no trajectory to remember")
        first = private.location[private.start[:-1]].astype(np.int64)
        if first.max() >= context.n:
            raise DataError(f"replay movegcl: location {first.max()} is not among the {context.n} of '{context.name}'")
        cells = self._bucket(private.lengths) * context.n + first
        counts = counted_once(private.user, cells, self._buckets * context.n).reshape(self._buckets, context.n)
        shares, declared = disclosed(
            counts,
            disclosure,
            disclosure.generator(),
            what=f"share of the users by length of trajectory, {self.length_step} visits, and first location",
            unit="user",
        )
        return Prior(
            generator=self.name,
            settings={"length_step": self.length_step},
            tensors={_FIRST: shares},
            declared={_FIRST: declared},
        )

    def generate(
        self,
        teacher: Teacher,
        prior: Prior | None,
        context: City,
        *,
        budget: int,
        seed: int,
        templates: Trajectories | None = None,
        batch: int = 64,
    ) -> list[Sample]:
        """Samples as one row of a mobility batch, in the types of :class:`Trajectories`, 14 bytes a visit."""
        check_draw(self.name, budget, batch)
        if templates is None or not len(templates):
            raise ConfigError("replay movegcl: no templates; give trajectories of the new silo, or generated ones")
        blank = self._blank(templates.select(_chosen(len(templates), budget, seed)))
        first = self._first(prior, blank.lengths, context, streams(seed, range(budget), 1)[:, 0])
        location = np.zeros(blank.visits, dtype=np.int32)
        # Longest first: those of a batch are of like lengths, and those that end early are its last rows.
        order = np.argsort(-blank.lengths, kind="stable")
        for begin in range(0, budget, batch):
            rows = order[begin : begin + batch]
            filled = self._fill(teacher, blank, rows, first[rows], context, seed)
            for row, found in zip(rows, filled, strict=True):
                span = slice(blank.start[row], blank.start[row + 1])
                location[span] = found[: span.stop - span.start]
        filled_in = replace(blank, location=location)
        return _samples(measured(filled_in, context) if self.jumps == "recomputed" else filled_in)

    def tokens(self, sample: Sample) -> NDArray[np.int64]:
        """The locations in their order."""
        return sample["location"].numpy().astype(np.int64)

    def private_tokens(self, private: Trajectories) -> list[NDArray[np.int64]]:
        """The locations of each trajectory."""
        return [private.window(index).location.astype(np.int64) for index in range(len(private))]

    def batch(self, samples: Sequence[Sample], context: City) -> tuple[dict[str, Tensor], Tensor]:
        """A batch as :func:`collate` makes it, and its mask."""
        columns = {name: np.concatenate([sample[name].numpy() for sample in samples]) for name in _VISIT}
        columns |= {name: np.array([float(sample[name]) for sample in samples], dtype=np.float32) for name in _USER}
        start = starts([len(sample["location"]) for sample in samples])
        made = Trajectories(user=np.arange(len(samples)), start=start, **columns)
        inputs = collate(made, range(len(made)), context)
        return inputs, inputs["mask"]

    @property
    def _buckets(self) -> int:
        return -(-LONGEST // self.length_step)

    def _bucket(self, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        found: NDArray[np.int64] = np.minimum((lengths - 1) // self.length_step, self._buckets - 1)
        return found

    def _blank(self, chosen: Trajectories) -> Trajectories:
        """Templates without places, as trajectories of as many users."""
        found = replace(chosen, user=np.arange(len(chosen)), location=np.zeros(chosen.visits, dtype=np.int32))
        if self.jumps == "recomputed":
            found = replace(found, jump=np.zeros(found.visits, dtype=np.float32))
        return found

    def _first(
        self, prior: Prior | None, lengths: NDArray[np.int64], context: City, uniform_B: Tensor
    ) -> NDArray[np.int64]:
        """First locations, [B], from the nearest bucket of lengths that holds any."""
        if prior is None:
            return draw_alike(torch.ones(context.n, dtype=torch.float64), uniform_B).numpy()
        prior.expect(self.name, {"length_step": self.length_step}, {_FIRST: (self._buckets, context.n)})
        shares = prior.tensors[_FIRST].double()
        held = np.flatnonzero(shares.sum(1).numpy() > 0)
        nearest = held[np.abs(held[None] - self._bucket(lengths)[:, None]).argmin(1)]
        found = np.empty(len(lengths), dtype=np.int64)
        for bucket in np.unique(nearest):
            mine = nearest == bucket
            found[mine] = draw_alike(shares[bucket], uniform_B[torch.from_numpy(mine)]).numpy()
        return found

    def _fill(
        self,
        teacher: Teacher,
        blank: Trajectories,
        rows: NDArray[np.int64],
        first_B: NDArray[np.int64],
        context: City,
        seed: int,
    ) -> NDArray[np.int64]:
        """Locations [B, S] of some templates, which come longest first."""
        batch = {name: value.to(teacher.device) for name, value in collate(blank, rows, context).items()}
        lengths = blank.lengths[rows]
        uniform = streams(seed, rows.tolist(), int(blank.lengths.max()))
        location = np.zeros((len(rows), lengths[0]), dtype=np.int64)
        location[:, 0] = first_B
        batch["location"][:, 0] = torch.from_numpy(first_B)
        for place in range(1, int(lengths[0])):
            going = int((lengths > place).sum())
            so_far = {name: batch[name][:going, :place] for name in (*_VISIT, "mask")}
            of_user = {name: batch[name][:going] for name in _USER}
            logits = teacher.last(**so_far, **of_user, locations=batch["locations"])
            if logits.shape[1] != context.n:
                raise ConfigError(f"replay movegcl: the teacher scores {logits.shape[1]} locations, not {context.n}")
            found = draw(self.sampling.probabilities(logits.cpu()), uniform[:going, place]).numpy()
            location[:going, place] = found
            batch["location"][:going, place] = torch.from_numpy(found)
            if self.jumps == "recomputed":
                travelled = context.distances(location[:going, place - 1], found)
                batch["jump"][:going, place] = torch.from_numpy(travelled)
        return location


def _chosen(count: int, budget: int, seed: int) -> NDArray[np.int64]:
    """Which templates are taken: all of them before any a second time."""
    rng = np.random.default_rng(seed)
    rounds = [rng.permutation(count) for _ in range(-(-budget // count))]
    return np.concatenate(rounds)[:budget]


def _samples(trajectories: Trajectories) -> list[Sample]:
    found: list[Sample] = []
    for index in range(len(trajectories)):
        window = trajectories.window(index)
        visits = {name: torch.from_numpy(getattr(window, name).copy()) for name in _VISIT}
        found.append(visits | {name: torch.tensor(getattr(window, name), dtype=torch.float32) for name in _USER})
    return found
