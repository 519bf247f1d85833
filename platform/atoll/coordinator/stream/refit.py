"""The router fitted after an arrival, at the coordinator: from synthetic samples alone, with nobody's data.

Each domain's samples are drawn from a teacher that knows it: for owners who were there before, the previous release;
for a new one, the mixture that it was trained in. The rows of the router then move until the new mixture says of all
samples what their teachers say. Experts stay as their owners made them.

The router's updates can be stopped in two ways: within a fitting, and over a stream, after so many fittings.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from atoll.coordinator.stream.config import RefitConfig
from atoll.experts.package import ExpertPackage
from atoll.experts.router_watch import RouterWatch, first_choices
from atoll.federation.units import Choice
from atoll.mixture import Mixture
from atoll.mixture.adapt import Adapter, rows_of
from atoll.mixture.shared import Fit, Shared
from atoll.plugins import build
from atoll.replay import Replay, Teacher
from atoll.workloads.replayed import replayed_batches
from atoll.workloads.workload import Batch, Workload

log = logging.getLogger("atoll.coordinator")
_LOOK = 10
"""Steps between looks at the samples that are kept back."""


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class Domain:
    """One owner's domain, and who teaches it.

    Attributes:
        package: The owner's expert, with what replay may know.
        teacher: A frozen mixture.
        entitlement: Whose experts answer in it.
        release: Digest of the teacher.
    """

    package: ExpertPackage
    teacher: Mixture
    entitlement: Sequence[str]
    release: str

    @property
    def owner(self) -> str:
        """Whose."""
        return self.package.card.owner


class _Samples:
    """A domain's synthetic samples as batches; the last one is not trained on where there is another."""

    def __init__(self, domain: Domain, batches: Sequence[Batch], workload: Workload, config: RefitConfig) -> None:
        self._domain, self._workload, self._loss = domain, workload, config.distillation()
        self._trained, self._kept_back = batches[:-1] or batches, batches[-1]

    def loss(self, student: Mixture, turn: int) -> Tensor:
        """Of one training batch."""
        return self._of(student, self._trained[turn % len(self._trained)])

    @torch.no_grad()
    def left(self, student: Mixture) -> float:
        """Of the batch that is kept back."""
        return float(self._of(student, self._kept_back))

    @torch.no_grad()
    def choices(self, student: Mixture) -> Tensor:
        """First choices [T] for the batch that is kept back."""
        moved = self._kept_back.to(next(student.parameters()).device)
        with student.use() as call:
            student(**moved.inputs, use_cache=False)
            return first_choices(call)

    def _of(self, student: Mixture, batch: Batch) -> Tensor:
        moved = batch.to(next(student.parameters()).device)
        told = Teacher(self._domain.teacher, self._domain.entitlement).logits(**moved.inputs, use_cache=False)
        with student.use():
            said = student(**moved.inputs, use_cache=False).logits
        return self._loss.loss(told, said, self._workload.predicts(moved.targets))


def refit(
    student: Mixture,
    domains: Sequence[Domain],
    workload: Workload,
    replay: Choice,
    config: RefitConfig,
    *,
    number: int,
    before: Shared | None,
    seed: int,
) -> Shared:
    """Fit the rows of everyone, or of the newcomers where the router has had as many fittings as it is to have.

    Args:
        student: The new mixture, under the rows that it starts with; its rows are trained in place.
        domains: Of every owner in it.
        workload: Without anybody's data.
        replay: The generator.
        config: How long, and on how much.
        number: Of the release that it is for.
        before: The shared part that the rows started from; its fittings are remembered.
        seed: Of the samples.

    Raises:
        PackageError: a prior that cannot be read, or that permits no sample.
    """
    fits = before.fits if before is not None else ()
    opened = _opened(student, before, config)
    if not opened:
        return Shared(router=student.router.name, rows=rows_of(student), fits=fits)
    generator: Replay = build("atoll.replay", replay.name, replay.options)
    share = max(config.batch, config.budget // len(domains))
    drawn = {
        each.owner: _draw(each, generator, workload, config.batch, share, seed + place)
        for place, each in enumerate(domains)
    }
    samples = [_Samples(each, drawn[each.owner], workload, config) for each in domains]
    adapter = Adapter(student, rows=opened)
    start, left, stopped = _fit(adapter, samples, config)
    log.info("router fitted on synthetic samples of %d domains: %.4f, before %.4f", len(domains), left, start)
    counts = {owner: sum(len(batch.targets["mask"]) for batch in found) for owner, found in drawn.items()}
    fit = Fit(release=number, teacher=domains[0].release, replay=replay.name, samples=counts, stopped=stopped)
    return Shared(router=student.router.name, rows=adapter.rows(), fits=(*fits, fit))


def _opened(student: Mixture, before: Shared | None, config: RefitConfig) -> list[str]:
    """Slots whose rows are fitted."""
    if before is None or not config.fittings or len(before.fits) < config.fittings:
        return list(student.slots)
    known = {slot for slots in before.rows.values() for slot in slots}
    return [slot for slot in student.slots if slot not in known]


def _draw(domain: Domain, generator: Replay, workload: Workload, batch: int, budget: int, seed: int) -> Sequence[Batch]:
    return replayed_batches(
        workload,
        generator,
        Teacher(domain.teacher, domain.entitlement),
        domain.package.prior,
        domain.package.context,
        budget=budget,
        size=batch,
        owner=domain.owner,
        release=domain.release,
        experts=domain.entitlement,
        seed=seed,
    )


def _fit(adapter: Adapter, samples: Sequence[_Samples], config: RefitConfig) -> tuple[float, float, int]:
    """Train, and leave the rows with the lowest loss on what is kept back: that loss before and after, and after how
    many steps the router's updates were stopped; 0 where they were not.
    """
    student, watch = adapter.mixture, RouterWatch(config.stop)
    optimizer = torch.optim.AdamW(adapter.parameters.values(), lr=config.learning_rate, weight_decay=0.0)
    start = best = _left(student, samples)
    kept = _copy(adapter.parameters)
    for step in range(config.steps):
        for group in optimizer.param_groups:
            done = step / config.steps
            group["lr"] = config.learning_rate * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * done)))
        turn, place = divmod(step, len(samples))
        samples[place].loss(student, turn).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        last = step + 1 == config.steps or not watch.updates(step + 1, lambda: _choices(student, samples))
        if (step + 1) % _LOOK == 0 or last:
            left = _left(student, samples)
            if left < best:
                best, kept = left, _copy(adapter.parameters)
        if last:
            break
    with torch.no_grad():
        for name, parameter in adapter.parameters.items():
            parameter.copy_(kept[name])
    return start, best, watch.stopped


def _left(student: Mixture, samples: Sequence[_Samples]) -> float:
    """Every domain counts alike."""
    return sum(each.left(student) for each in samples) / len(samples)


def _choices(student: Mixture, samples: Sequence[_Samples]) -> Tensor:
    return torch.cat([each.choices(student) for each in samples])


def _copy(parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in parameters.items()}
