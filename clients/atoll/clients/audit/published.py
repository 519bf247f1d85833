"""Replay of the owner's own domain as the owner would publish it, and how near it is to anyone's data."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from atoll.privacy.intervals import clopper_pearson
from atoll.privacy.uniqueness import Traces, point_distances
from atoll.replay import Draw, Memorised, Prior, Replay, ReplaySet, Sample, Teacher, draw_replay, without_memorised
from atoll.replay.grams import Tokens, grams
from atoll.workloads.classification import Classification
from atoll.workloads.mobility import Mobility
from atoll.workloads.mobility.trajectories import SLOTS, Trajectories, starts
from atoll.workloads.workload import Split, Workload

_SHINGLE = 3
"""Tokens in a row by which texts are compared."""


@dataclass(frozen=True, eq=False, slots=True)
class Source:
    """What replay is drawn from.

    Attributes:
        teacher: The release.
        owners: Whose experts are in it.
        owner: Whose domain is drawn.
        prior: That owner's.
    """

    teacher: Teacher
    owners: tuple[str, ...]
    owner: str
    prior: Prior | None


def publish(replay: Replay, source: Source, workload: Workload, budget: int, seed: int) -> ReplaySet:
    """Draw as others would, with a seed of the owner's own, and hold back what is too near the training data.

    Templates are neither trained nor tested on: the times of training trajectories would make everyone who was trained
    on look like a member, and those of test trajectories the opposite.

    Raises:
        ConfigError: the generator is for other data.
    """
    drawn = draw_replay(
        replay,
        source.teacher,
        source.prior,
        workload.replay_context(workload.public_context()),
        Draw(budget=budget, repetition=None),
        owner=source.owner,
        # A silo is not told the release's digest; this set does not leave it.
        release=f"sha256:{hashlib.sha256(' '.join(source.owners).encode()).hexdigest()}",
        experts=source.owners,
        seed=seed,
        templates=workload.replay_templates("validation"),
    )
    return without_memorised(drawn, replay, workload.replay_private(), Memorised())


def held_back(found: ReplaySet) -> dict[str, float]:
    """How many of the samples were too near the training data, with a 95 % interval (Clopper and Pearson)."""
    budget, gone = found.provenance.budget, found.dropped["memorised"]
    low, high = clopper_pearson(gone, budget)
    values = {"samples": float(budget), "rate": gone / budget, "low": low, "high": high}
    return {f"extraction_replay_{name}": value for name, value in values.items()}


def records(workload: Workload, split: Split) -> int:
    """How many documents or trajectories a split has to be compared with replay."""
    return len(workload.trajectories(split) if isinstance(workload, Mobility) else workload.replay_private(split))


def distances(
    workload: Workload, replay: Replay, split: Split, chosen: NDArray[np.int64], published: Sequence[Sample]
) -> Tensor:
    """Distances [chosen, published]: Jaccard's of trajectories as sets of points and of text as sets of token trigrams;
    for classifiers Euclid's between what the anchor's stem says of them.
    """
    if isinstance(workload, Classification):
        own = workload.replay_private(split).features[torch.from_numpy(chosen)]
        return torch.cdist(own, torch.cat([sample["features"] for sample in published]))
    if isinstance(workload, Mobility):
        return point_distances(traces(workload.trajectories(split).select(chosen)), replayed_traces(published))
    private = replay.private_tokens(workload.replay_private(split))
    asked = [private[place] for place in chosen]
    return shingle_distances(asked, [replay.tokens(sample) for sample in published])


def shingle_distances(asked: Sequence[Tokens], published: Sequence[Tokens]) -> Tensor:
    """Jaccard distances of texts as sets of token trigrams, [asked, published]."""
    both = grams([*asked, *published], _SHINGLE)
    border = len(asked)
    parts = []
    for first, last in ((0, border), (border, border + len(published))):
        start = both.start[first : last + 1] - both.start[first]
        number = both.number[both.start[first] : both.start[last]]
        parts.append(Traces(np.arange(last - first), start, number, np.zeros(len(number), np.int64)))
    return point_distances(*parts)


def traces(there: Trajectories) -> Traces:
    """Real trajectories; a point is a location at a half-hour of the week."""
    return Traces(there.user, there.start, there.location, there.day.astype(np.int64) * SLOTS + there.slot)


def replayed_traces(published: Sequence[Sample]) -> Traces:
    """Replayed ones."""
    columns = {
        name: np.concatenate([sample[name].numpy() for sample in published]).astype(np.int64)
        for name in ("location", "day", "slot")
    }
    start = starts([len(sample["location"]) for sample in published])
    when = columns["day"] * SLOTS + columns["slot"]
    return Traces(np.arange(len(published)), start, columns["location"], when)
