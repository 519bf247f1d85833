"""A new expert trained beside the experts of the release that is there, from its own data and from replay."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from atoll.clients.node import Node
from atoll.clients.training.arrival import (
    ArrivalTrainable,
    ReplayedParts,
    arrival_loss,
    in_use,
    most_used_expert,
    start_expert,
)
from atoll.clients.training.loop import Loss, train
from atoll.clients.training.trainable import TrainedExpert
from atoll.experts.adapter import NAME as ADAPTER
from atoll.experts.adapter import plain_adapter
from atoll.experts.checks import Scalar
from atoll.experts.integrator import Integrator, members
from atoll.experts.package import ExpertPackage, read_package
from atoll.experts.signing import PublicKey
from atoll.experts.training import ExpertConfig
from atoll.federation.units import Past, TrainUnit
from atoll.mixture import Descriptor, ExpertKind, Member, Mixture, Router, Settings
from atoll.mixture.shared import Shared
from atoll.plugins import build
from atoll.replay import Replay, Teacher
from atoll.workloads.replayed import replayed_batches
from atoll.workloads.workload import Batch

Report = Callable[[int, int, str], None]


@dataclass(frozen=True, eq=False, slots=True)
class Place:
    """Where the new expert goes.

    Attributes:
        model: The anchor's model, unchanged.
        frame: The anchor's descriptor.
        kind: Of the experts.
        targets: What they change.
        descriptor: The owner's domain.
    """

    model: nn.Module
    frame: Descriptor
    kind: ExpertKind
    targets: Sequence[str]
    descriptor: Descriptor


class Release:
    """The past of one unit, read and integrated: the teacher, and what replay is drawn with."""

    def __init__(self, node: Node, past: Past, place: Place) -> None:
        """Read the packages and make the mixture of them.

        Raises:
            PackageError: a package or a shared part that does not verify.
        """
        self.past = past
        self.packages = [_read(node, member.blob, member.public_key) for member in past.members]
        self.router: Router = build("atoll.routers", past.router.name, past.router.options)
        self.shared = Shared.from_bytes(node.blobs.get(past.shared).read_bytes()) if past.shared else None
        self.teacher = self._teacher(place, node) if self.packages else None

    @property
    def members(self) -> list[Member]:
        """The experts, as a mixture takes them."""
        return members(self.packages)[1] if self.packages else []

    def with_expert(self, place: Place, new: Member) -> Mixture:
        """The mixture with one expert more."""
        rows = self.shared.rows if self.shared is not None else None
        return Mixture(place.model, place.frame, place.kind, [*self.members, new], self.router, rows=rows)

    def _teacher(self, place: Place, node: Node) -> Mixture:
        chosen = self.past.integrator
        integrator: Integrator = build("atoll.integrators", chosen.name, chosen.options)
        made = integrator.integrate(place.model, place.frame, self.packages, self.router)
        return (made if self.shared is None else made.with_rows(self.shared.rows)).to(node.device)


def train_beside(
    node: Node,
    unit: TrainUnit,
    past: Past,
    place: Place,
    begin: Sequence[int],
    chosen: bool,
    checkpoint: Path,
    report: Report,
) -> tuple[TrainedExpert, dict[str, Scalar], dict[str, float]]:
    """Train one expert beside a release; at the first stage, beside nobody.

    Args:
        node: The owner's.
        unit: The work.
        past: Its past.
        place: Where the expert goes.
        begin: Training samples that its start is set by: what it starts as, and its rows' biases.
        chosen: Whether the validation split chooses among the steps; if not, the last one leaves, without figures.
        checkpoint: A file; where it exists, training goes on from there.
        report: Told what is going on.

    Returns:
        The expert, and what the card says of its training. Its losses are of the training's own objective: own samples
        and replay together.

    Raises:
        PackageError: a package of the past that does not verify.
        DataError: training diverged.
    """
    config, training, workload = past.arrival, unit.training, node.workload
    release = Release(node, past, place)
    first = node.workload.samples("train", begin).to(node.device)
    new = _new_member(node, unit, release, place, first)
    student = release.with_expert(place, new).to(node.device)
    extra = {} if place.kind.name != "lora" else {ADAPTER: _adapter(place, new)}
    trainable = ArrivalTrainable(student, node.config.owner, config, training.steps, extra)
    if release.members:
        trainable.meet(first)
    replayed = _replay(node, unit, release, report) if config.replay else {}

    def real(step: int) -> list[Batch]:
        trainable.begin(step)
        indices = workload.batch_indices(step, training.batch, unit.seed)
        size = training.batch // training.accumulation
        return [workload.samples("train", indices[at : at + size]) for at in range(0, len(indices), size)]

    trainable.probe = [first, *(batches[-1] for batches in replayed.values())]
    turns = [_turns(batches[:-1] or batches) for batches in replayed.values()]
    parts = ReplayedParts(real, turns, release.teacher, config, past.stage)
    loss = arrival_loss(workload, config)
    validate = None
    if chosen:
        validate = _validation(node, unit, student, parts, [batches[-1] for batches in replayed.values()], loss)
    with in_use(student):
        progress = train(trainable, parts, loss, validate, training, checkpoint, report)
    drawn = sum(len(batch.targets["mask"]) for batches in replayed.values() for batch in batches)
    facts = {**progress.facts(), "stage": past.stage, "beside": past.release, "replayed": drawn}
    metrics = {"validation_loss_before": progress.first_loss, "validation_loss_expert": progress.best_loss}
    return trainable.export(), facts, {**(metrics if chosen else {}), **trainable.metrics()}


def kind_settings(expert: ExpertConfig) -> Settings:
    """What a card says of the kind's choices, before training."""
    return {"rank": expert.rank, "alpha": float(expert.alpha)} if expert.kind == "lora" else {"coordinated": False}


def _read(node: Node, blob: str, public_key: str) -> ExpertPackage:
    return read_package(node.blobs.get(blob), trusted=PublicKey.from_hex(public_key), anchor=node.anchor.digest)


def _adapter(place: Place, new: Member) -> bytes:
    return plain_adapter(place.targets, new.settings, generates=hasattr(place.model, "generate"))


def _new_member(node: Node, unit: TrainUnit, release: Release, place: Place, first: Batch) -> Member:
    settings = kind_settings(unit.expert)
    generator = torch.Generator().manual_seed(unit.seed)
    weights: dict[str, Tensor] = {}
    for target in place.targets:
        weights |= place.kind.start(target, place.model.get_submodule(target), settings, generator)
    fresh = Member(
        owner=node.config.owner,
        targets=tuple(place.targets),
        settings=settings,
        weights=weights,
        descriptor=place.descriptor,
    )
    used = ""
    if release.past.arrival.start == "most-used" and release.teacher is not None:
        used = most_used_expert(release.teacher, [first])
    return start_expert(release.past.arrival, release.members, fresh, used)


def _replay(node: Node, unit: TrainUnit, release: Release, report: Report) -> dict[str, list[Batch]]:
    """Batches of every earlier domain, drawn here from the previous release."""
    past, workload, batch = release.past, node.workload, unit.training.batch
    replay: Replay = build("atoll.replay", past.replay.name, past.replay.options)
    owners = [package.card.owner for package in release.packages]
    found: dict[str, list[Batch]] = {}
    for number, package in enumerate(release.packages):
        assert release.teacher is not None
        owner = package.card.owner
        report(0, unit.training.steps, f"replaying {owner} ({number + 1} of {len(owners)})")
        found[owner] = replayed_batches(
            workload,
            replay,
            Teacher(release.teacher),
            package.prior,
            package.context,
            budget=max(batch, past.arrival.budget // len(owners)),
            size=batch,
            owner=owner,
            release=past.release,
            experts=owners,
            seed=unit.seed + number,
        )
    return found


def _turns(batches: Sequence[Batch]) -> Callable[[int], Batch]:
    return lambda step: batches[step % len(batches)]


def _validation(
    node: Node, unit: TrainUnit, student: Mixture, parts: ReplayedParts, kept_back: Sequence[Batch], loss: Loss
) -> Callable[[], float]:
    """The training's own objective on the silo's validation split and on replay that is not trained on.

    Nobody else's validation data plays a part, for it is not there.
    """
    workload, training = node.workload, unit.training
    indices = workload.evaluation_indices("validation", training.validation_windows or None)

    @torch.no_grad()
    def mean(batches: Sequence[Batch]) -> float:
        total, count = 0.0, 0
        for batch in batches:
            moved = batch.to(node.device)
            part, predicted = loss(student(**moved.inputs, use_cache=False).logits, moved.targets)
            total, count = total + float(part), count + predicted
        return total / count

    def validate() -> float:
        chunks = [indices[at : at + training.batch] for at in range(0, len(indices), training.batch)]
        own = mean(parts.own([workload.samples("validation", chunk) for chunk in chunks]))
        if not kept_back:
            return own
        real_weight, replay_weight = parts.weights
        return real_weight * own + replay_weight * mean([parts.taught(batch) for batch in kept_back])

    return validate
