"""A new expert trained beside the experts of the release that is there, from its own data and from replay."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from atoll.clients.node import Node
from atoll.clients.training.arrival import (
    ArrivalTrainable,
    ReplayedParts,
    arrival_loss,
    most_used_expert,
    start_expert,
)
from atoll.clients.training.loop import Loss
from atoll.errors import PackageError
from atoll.experts.integrator import Integrator, members
from atoll.experts.package import ExpertPackage, read_package
from atoll.experts.signing import PublicKey
from atoll.experts.training import TrainingConfig
from atoll.federation.units import Past, TrainUnit
from atoll.mixture import Descriptor, ExpertKind, Member, Mixture, Router
from atoll.mixture.shared import Shared
from atoll.plugins import build
from atoll.replay import Draw, Replay, Teacher, draw_replay
from atoll.workloads.workload import Batch, Workload


@dataclass(frozen=True, eq=False, slots=True)
class Beside:
    """What the training loop needs for an expert that is trained beside others."""

    trainable: ArrivalTrainable
    parts: Callable[[int], Sequence[Batch]]
    loss: Loss
    validate: Callable[[], float]
    replayed: Mapping[str, int]


class Reader:
    """The past of one unit, read and integrated."""

    def __init__(self, node: Node, unit: TrainUnit, past: Past, model: nn.Module, frame: Descriptor) -> None:
        """Read the packages and make the mixture of them, which is the teacher.

        Raises:
            PackageError: a package or a shared part that does not verify.
        """
        self.past = past
        self.packages = [_read(node, unit, member.blob, member.public_key) for member in past.members]
        self.router: Router = build("atoll.routers", past.router.name, past.router.options)
        integrator: Integrator = build("atoll.integrators", past.integrator.name, past.integrator.options)
        teacher = integrator.integrate(model, frame, self.packages, self.router)
        self.shared = Shared.from_bytes(node.blobs.get(past.shared).read_bytes()) if past.shared else None
        if self.shared is not None:
            teacher = teacher.with_rows(self.shared.rows)
        self.teacher = teacher.to(node.device)

    def student(self, model: nn.Module, frame: Descriptor, new: Member) -> Mixture:
        """The teacher with one expert more."""
        kind, there = members(self.packages)
        rows = self.shared.rows if self.shared is not None else None
        return Mixture(model, frame, kind, [*there, new], self.router, rows=rows)


def missing_blobs(node: Node, past: Past) -> list[str]:
    """Digests of what the past needs and is not held."""
    wanted = [*(member.blob for member in past.members), *([past.shared] if past.shared else [])]
    return [digest for digest in wanted if not node.blobs.has(digest)]


def train_beside(
    node: Node,
    unit: TrainUnit,
    past: Past,
    model: nn.Module,
    kind: ExpertKind,
    targets: Sequence[str],
    descriptor: Descriptor,
    frame: Descriptor,
    report: Callable[[int, int, str], None],
) -> Beside:
    """Prepare the training of one expert beside a release.

    Args:
        node: The owner's.
        unit: The work.
        past: Its past.
        model: The anchor's model.
        kind: Of the experts.
        targets: What the expert changes.
        descriptor: The owner's domain.
        frame: The anchor's.
        report: Told what is going on.

    Raises:
        PackageError: a package of the past that does not verify.
    """
    workload, training, config = node.workload, unit.training, past.arrival
    reader = Reader(node, unit, past, model, frame)
    new = _new_member(node, unit, reader, model, kind, targets, descriptor)
    student = reader.student(model, frame, new).to(node.device)
    trainable = ArrivalTrainable(student, node.config.owner, config, training.steps)
    replayed, counts = _replay(node, unit, reader, report) if config.replay else ({}, {})

    def real(step: int) -> list[Batch]:
        trainable.step = step
        indices = workload.batch_indices(step, training.batch, unit.seed)
        size = training.batch // training.accumulation
        return [workload.samples("train", indices[at : at + size]) for at in range(0, len(indices), size)]

    domains = [_turns(batches[:-1] or batches) for batches in replayed.values()]
    parts = ReplayedParts(real, domains, reader.teacher, config, past.stage)
    kept_back = [batches[-1] for batches in replayed.values()]
    loss = arrival_loss(workload, config)
    validate = _validation(workload, student, training, parts, kept_back, loss)
    return Beside(trainable, parts, loss, validate, counts)


def _read(node: Node, unit: TrainUnit, blob: str, public_key: str) -> ExpertPackage:
    return read_package(node.blobs.get(blob), trusted=PublicKey.from_hex(public_key), anchor=unit.anchor)


def _new_member(
    node: Node,
    unit: TrainUnit,
    reader: Reader,
    model: nn.Module,
    kind: ExpertKind,
    targets: Sequence[str],
    descriptor: Descriptor,
) -> Member:
    settings = reader.packages[0].card.settings
    generator = torch.Generator().manual_seed(unit.seed)
    weights: dict[str, Tensor] = {}
    for target in targets:
        weights |= kind.start(target, model.get_submodule(target), settings, generator)
    fresh = Member(
        owner=node.config.owner, targets=tuple(targets), settings=settings, weights=weights, descriptor=descriptor
    )
    _, there = members(reader.packages)
    used = ""
    if reader.past.arrival.start == "most-used":
        indices = node.workload.batch_indices(0, unit.training.batch, unit.seed)
        used = most_used_expert(reader.teacher, [node.workload.samples("train", indices).to(node.device)])
    return start_expert(reader.past.arrival, there, fresh, used)


def _replay(
    node: Node, unit: TrainUnit, reader: Reader, report: Callable[[int, int, str], None]
) -> tuple[dict[str, list[Batch]], dict[str, int]]:
    """Batches of every earlier domain, and how many samples they hold."""
    past, workload = reader.past, node.workload
    replay: Replay = build("atoll.replay", past.replay.name, past.replay.options)
    share = max(unit.training.batch, past.arrival.budget // len(reader.packages))
    found: dict[str, list[Batch]] = {}
    counts: dict[str, int] = {}
    for number, package in enumerate(reader.packages):
        owner = package.card.owner
        report(0, unit.training.steps, f"replaying {owner} ({number + 1} of {len(reader.packages)})")
        context = workload.replay_context(package.context)
        drawn = draw_replay(
            replay,
            Teacher(reader.teacher),
            package.prior,
            context,
            Draw(budget=share, repetition=None),
            owner=owner,
            release=past.release,
            experts=[each.card.owner for each in reader.packages],
            seed=unit.seed + number,
            templates=workload.replay_templates(),
        )
        samples = drawn.samples
        if not samples:
            raise PackageError(f"replay of '{owner}' drew nothing: its prior permits no sample")
        counts[owner] = len(samples)
        found[owner] = [
            workload.as_batch(*replay.batch(samples[at : at + unit.training.batch], context))
            for at in range(0, len(samples), unit.training.batch)
        ]
    return found, counts


def _turns(batches: Sequence[Batch]) -> Callable[[int], Batch]:
    return lambda step: batches[step % len(batches)]


def _validation(
    workload: Workload,
    student: Mixture,
    training: TrainingConfig,
    parts: ReplayedParts,
    kept_back: Sequence[Batch],
    loss: Loss,
) -> Callable[[], float]:
    """The training's own objective on the silo's validation split and on replay that is not trained on.

    Nobody else's validation data plays a part, for it is not there.
    """

    @torch.no_grad()
    def mean(batches: Sequence[Batch]) -> float:
        total, count = 0.0, 0
        for batch in batches:
            moved = batch.to(next(student.parameters()).device)
            part, predicted = loss(student(**moved.inputs, use_cache=False).logits, moved.targets)
            total, count = total + float(part), count + predicted
        return total / count

    def validate() -> float:
        indices = workload.evaluation_indices("validation", training.validation_windows or None)
        own = [
            workload.samples("validation", indices[at : at + training.batch])
            for at in range(0, len(indices), training.batch)
        ]
        real_weight, replay_weight = parts.weights
        if not kept_back:
            return mean(own)
        return real_weight * mean(own) + replay_weight * mean([parts.taught(batch) for batch in kept_back])

    return validate
