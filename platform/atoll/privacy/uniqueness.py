"""Whether generated trajectories are somebody's.

A few points of a trajectory single its owner out (de Montjoye et al. 2013, Unique in the Crowd, Scientific Reports
3:1376). So it is asked how often a few points of a generated one match a real person, and how long the longest run is
that it shares with a real one. People resemble each other too; so each figure stands beside the same figure of real
trajectories of other people, which were not trained on.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from atoll.errors import DataError
from atoll.privacy.intervals import clopper_pearson

Integers = NDArray[np.int64]
Column = NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False, slots=True)
class Traces:
    """M trajectories of V points in all, in columns.

    Attributes:
        user: [M], whose each is; of generated ones it is not looked at.
        start: [M + 1], where each begins; the last is V.
        location: [V].
        slot: [V], when; whatever of day and hour a point is to be matched on.
    """

    user: Column
    start: Column
    location: Column
    slot: Column

    def __post_init__(self) -> None:
        sizes = len(self.user) + 1, len(self.location)
        if (len(self.start), len(self.slot)) != sizes or not (np.diff(self.start) >= 0).all():
            raise DataError("traces: the columns do not fit each other; start is [M + 1], user [M], the others [V]")
        if self.start[0] != 0 or self.start[-1] != len(self.location):
            raise DataError(f"traces: start goes from {self.start[0]} to {self.start[-1]}; it must be 0 to V")


@dataclass(frozen=True, kw_only=True, slots=True)
class Overlap:
    """What some trajectories have in common with real ones.

    Attributes:
        trajectories: How many were asked about: long enough, and one a person, so that the intervals hold.
        unique: Share whose points match exactly one person.
        unique_low: Lower end of its 95 % interval (Clopper and Pearson).
        unique_high: Upper end.
        matched: Share whose points match at least one person.
        matched_low: Lower end.
        matched_high: Upper end.
        run_mean: Points of the longest run shared with a real trajectory, averaged over trajectories.
        run_longest: The longest of all; the more trajectories, the longer.
    """

    trajectories: int
    unique: float
    unique_low: float
    unique_high: float
    matched: float
    matched_low: float
    matched_high: float
    run_mean: float
    run_longest: int


@dataclass(frozen=True, kw_only=True, slots=True)
class UniquenessReport:
    """Generated trajectories against real ones, beside real ones of other people.

    Attributes:
        points: Points of each trajectory that are matched.
        generated: Of the generated ones.
        baseline: Of the held-out real ones.
    """

    points: int
    generated: Overlap
    baseline: Overlap

    def figures(self) -> Mapping[str, float]:
        """Every figure by name, as an expert card holds them."""
        names = [field.name for field in fields(Overlap)]
        sides = {"generated": self.generated, "baseline": self.baseline}
        return {f"uniqueness_{key}_{name}": float(getattr(side, name)) for key, side in sides.items() for name in names}


def uniqueness(generated: Traces, held_out: Traces, train: Traces, seed: int, *, points: int = 4) -> UniquenessReport:
    """Compare generated trajectories with those trained on.

    Args:
        generated: The published replay.
        held_out: Real trajectories of people who are not in ``train``.
        train: What the generator was trained on.
        seed: Of the choice of points.
        points: How many of each trajectory are matched.

    Raises:
        DataError: people are on both sides, or no trajectory has so many points.
    """
    both = np.intersect1d(held_out.user, train.user)
    if len(both):
        raise DataError(
            f"uniqueness: {len(both)} people are held out and trained on; a person resembles itself, so split by person"
        )
    return UniquenessReport(
        points=points,
        generated=overlap(replace(generated, user=np.arange(len(generated.user))), train, seed, points=points),
        baseline=overlap(held_out, train, seed, points=points),
    )


def overlap(asked: Traces, real: Traces, seed: int, *, points: int = 4) -> Overlap:
    """What trajectories have in common with real ones; of real ones with themselves, how unique people are.

    One trajectory of each person is asked about, since those of one person are alike.

    Raises:
        DataError: no trajectory has so many different points.
    """
    found, runs = matches(asked, real, seed, points=points), longest_runs(asked, real)
    order = np.random.default_rng(seed).permutation(np.flatnonzero(found >= 0))
    one_each = order[np.unique(asked.user[order], return_index=True)[1]]
    if not len(one_each):
        raise DataError(f"uniqueness: no trajectory has {points} different points; ask for fewer")
    found, runs = found[one_each], runs[one_each]
    unique, matched = int((found == 1).sum()), int((found >= 1).sum())
    unique_low, unique_high = clopper_pearson(unique, len(found))
    matched_low, matched_high = clopper_pearson(matched, len(found))
    return Overlap(
        trajectories=len(found),
        unique=unique / len(found),
        unique_low=unique_low,
        unique_high=unique_high,
        matched=matched / len(found),
        matched_low=matched_low,
        matched_high=matched_high,
        run_mean=float(runs.mean()),
        run_longest=int(runs.max()),
    )


def matches(asked: Traces, real: Traces, seed: int, *, points: int = 4) -> Integers:
    """For each trajectory, how many people were at all of some points drawn from it: [M].

    -1 where it has fewer different points than that.
    """
    asked_codes, real_codes = _codes(asked, real)
    people: dict[int, set[int]] = defaultdict(set)
    users = real.user.repeat(np.diff(real.start))
    for code, user in zip(real_codes.tolist(), users.tolist(), strict=True):
        people[code].add(user)
    rng = np.random.default_rng(seed)
    found = np.full(len(asked.user), -1, np.int64)
    for index, different in enumerate(_different(asked, asked_codes)):
        if len(different) >= points:
            drawn = rng.choice(different, points, replace=False).tolist()
            found[index] = len(set.intersection(*(people.get(code, set()) for code in drawn)))
    return found


def longest_runs(asked: Traces, real: Traces) -> Integers:
    """For each trajectory, the most points in a row that some real trajectory has in the same order: [M].

    All runs of one length are numbered, those that both sides have are lengthened by a point, until none is left.
    """
    asked_codes, real_codes = _codes(asked, real)
    found = np.zeros(len(asked.user), np.int64)
    codes = np.concatenate([asked_codes, real_codes])
    border = len(asked_codes)
    ends = np.concatenate([_ends(asked), border + _ends(real)])
    owner = np.arange(len(asked.user)).repeat(np.diff(asked.start))
    # Where a run starts, and its number; equal runs have equal numbers.
    starts, runs = np.arange(len(codes)), codes
    length = 1
    while True:
        mine = starts < border
        common = np.isin(runs, np.intersect1d(runs[mine], runs[~mine]))
        starts, runs = starts[common], runs[common]
        if not len(starts):
            return found
        found[owner[starts[starts < border]]] = length
        longer = starts + length < ends[starts]
        starts, runs = starts[longer], runs[longer]
        joined = np.unique(runs, return_inverse=True)[1] * (len(codes) + 1) + codes[starts + length]
        runs = np.unique(joined, return_inverse=True)[1]
        length += 1


def point_distances(asked: Traces, published: Traces) -> Tensor:
    """Jaccard distances between trajectories as sets of points: float32 [M, R].

    For :func:`atoll.privacy.attacks.nearest_scores`.
    """
    asked_codes, published_codes = _codes(asked, published)
    mine, theirs = _different(asked, asked_codes), _different(published, published_codes)
    who: dict[int, list[int]] = defaultdict(list)
    for row, points in enumerate(theirs):
        for code in points.tolist():
            who[code].append(row)
    sizes = np.array([len(points) for points in theirs], np.int64)
    distances = np.ones((len(mine), len(theirs)), np.float32)
    for row, points in enumerate(mine):
        there = [at for code in points.tolist() for at in who.get(code, ())]
        common = np.bincount(np.array(there, np.int64), minlength=len(theirs))
        distances[row] -= common / np.maximum(1, len(points) + sizes - common)
    return torch.from_numpy(distances)


def _codes(one: Traces, other: Traces) -> tuple[Integers, Integers]:
    """A number for every different point, shared by both."""
    location = np.concatenate([one.location, other.location]).astype(np.int64)
    slot = np.concatenate([one.slot, other.slot]).astype(np.int64)
    width = slot.max(initial=0) - slot.min(initial=0) + 1
    codes = np.unique(location * width + slot, return_inverse=True)[1]
    return codes[: len(one.location)], codes[len(one.location) :]


def _ends(traces: Traces) -> Column:
    """For each point, where its trajectory ends."""
    return traces.start[1:].repeat(np.diff(traces.start))


def _different(traces: Traces, codes: Integers) -> list[Integers]:
    """The different points of each trajectory, in order."""
    return [np.unique(codes[start:end]) for start, end in pairwise(traces.start)]
