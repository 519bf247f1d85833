"""The two jobs of a node: train an expert into a package, evaluate models on the silo's own data."""

import dataclasses
import functools
import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from atoll.clients.audit.unit import audit_unit
from atoll.clients.beside import Place, train_beside
from atoll.clients.descriptor import describe_domain
from atoll.clients.evaluate import Evaluator
from atoll.clients.measuring.records import RecordsQuestion
from atoll.clients.measuring.worker import list_records
from atoll.clients.node import Node
from atoll.clients.own_experts import UNIT
from atoll.clients.prior import make_prior, prior_spends
from atoll.clients.succession import Succession
from atoll.clients.training.basis import TrainBasis, is_chosen, start_indices, training_basis
from atoll.clients.training.ffn import FeedForwardTrainable
from atoll.clients.training.limits import NO_LIMITS, TrainLimits
from atoll.clients.training.loop import train
from atoll.clients.training.lora import LoraTrainable
from atoll.clients.training.prefix import Prefix, tail
from atoll.clients.training.private import PrivateData
from atoll.clients.training.private_loop import PrivateTraining, settle_privacy, train_privately
from atoll.clients.training.trainable import Trainable, TrainedExpert
from atoll.errors import ConfigError
from atoll.experts.card import Consent, ExpertCard, Privacy
from atoll.experts.checks import Scalar
from atoll.experts.files import write_atomic
from atoll.experts.package import read_package, verify_package, write_package
from atoll.experts.signing import PublicKey
from atoll.experts.training import ROUTER, ExpertConfig, TrainingConfig
from atoll.federation.units import EvaluateReply, EvaluateUnit, TrainReply, TrainUnit
from atoll.mixture import Descriptor, ExpertKind, Router
from atoll.mixture.shared import Shared
from atoll.plugins import build, load
from atoll.workloads.workload import Batch, Split, Workload

_CHECKPOINT = "checkpoint.pt"
Report = Callable[[int, int, str], None]
"""Told how much is done, of how much, and a note."""


def plan_training(node: Node, unit: TrainUnit, limits: TrainLimits = NO_LIMITS) -> TrainBasis:
    """What a training would rest on; nothing is trained.

    Raises:
        ConfigError: impossible options.
        DataError: the data cannot be used.
        FederationError: the unit is for another anchor.
    """
    node.expect_anchor(unit.anchor)
    unit.check()
    basis = training_basis(node.workload, unit, limits.min_documents)
    private = settle_privacy(unit.privacy, unit.training, node.workload) if unit.privacy.on else None
    spends = [] if private is None else [private.spend()]
    prior = None if unit.replay is None else make_prior(node, unit.replay, exact=private is None)
    records = list_records(node, RecordsQuestion(split="train")).digests
    return dataclasses.replace(basis, spends=[*spends, *prior_spends(prior)], records=records)


def train_expert(
    node: Node,
    unit: TrainUnit,
    report: Report,
    limits: TrainLimits = NO_LIMITS,
    succession: Succession | None = None,
) -> tuple[TrainReply, Path]:
    """Train an expert on the silo's training split and pack it.

    The work is content-addressed: the same unit on the same data gives the package that is there already, and a unit
    that was cut short goes on from its latest checkpoint.

    Args:
        node: The silo.
        unit: The work.
        report: Told how it goes.
        limits: What the node's policy asks of it.
        succession: The expert that this one is made in place of; ``None`` for none.

    Returns:
        What to say, and the package's file.

    Raises:
        ConfigError: impossible options.
        DataError: the text cannot be used, or training diverged.
        FederationError: the unit is for another anchor, or a blob that it needs is not held.
        PackageError: an expert of the past that does not verify.
    """
    node.expect_anchor(unit.anchor)
    unit.check()
    folder = node.folder / "work" / _identity(node, unit, limits, succession)
    package = folder / f"{node.config.owner}.atoll"
    if not package.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / UNIT, unit.to_json().encode())
        if succession is not None and succession.checkpoint and not (folder / _CHECKPOINT).exists():
            shutil.copyfile(succession.checkpoint, folder / _CHECKPOINT)
        _train_and_pack(node, unit, limits, succession, package, report)
        shutil.rmtree(folder / "states", ignore_errors=True)
    found = verify_package(package, trusted=node.key.public)
    return TrainReply(digest=found.digest, blob=_file_digest(package), metrics=dict(found.card.metrics)), package


def evaluate(node: Node, unit: EvaluateUnit, report: Report) -> EvaluateReply:
    """Evaluate the unit's variants on the silo's own data, and audit its release where that is asked for.

    Raises:
        PackageError: an expert that does not verify.
        FederationError: the unit is for another anchor.
    """
    node.expect_anchor(unit.anchor)
    if missing := [blob for blob in unit.needs if not node.blobs.has(blob)]:
        return EvaluateReply(missing=missing)
    model = node.model()
    experts = {}
    for member in unit.members:
        trusted = PublicKey.from_hex(member.public_key)
        experts[member.owner] = read_package(node.blobs.get(member.blob), trusted=trusted, anchor=unit.anchor)
    if not experts:
        raise ConfigError("there is no expert to evaluate")
    some = next(iter(experts.values())).card
    frame = node.frame(model, some.sites)
    cache = node.folder / "states" / unit.anchor.removeprefix("sha256:")
    shared = Shared.from_bytes(node.blobs.get(unit.shared).read_bytes()) if unit.shared else None
    evaluator = Evaluator(model, frame, experts, node.workload, unit, cache, shared)
    reply = evaluator.run(node.config.owner, report)
    return dataclasses.replace(reply, audit=dict(audit_unit(node, unit, evaluator, experts, report)))


def _train_and_pack(
    node: Node,
    unit: TrainUnit,
    limits: TrainLimits,
    succession: Succession | None,
    package: Path,
    report: Report,
) -> None:
    private = settle_privacy(unit.privacy, unit.training, node.workload) if unit.privacy.on else None
    model = node.model()
    layers = expert_layers(node.anchor.layers, unit.expert.last_layers)
    kind: ExpertKind = load("atoll.experts", unit.expert.kind)()
    targets = targets_of(unit.expert, layers)
    sites = [site.path for site in kind.sites(targets)]
    report(0, unit.training.steps, "describing the domain")
    frame = node.frame(model, sites)
    if private is not None:
        # What the card says of ε holds for all of the package: nothing in it comes from the data without noise, and
        # where an expert's row of the router begins is in it.
        descriptor = frame
    else:
        descriptor = describe_domain(
            node.anchor,
            model,
            sites,
            node.workload,
            embedder=unit.embedder,
            documents=unit.descriptor_documents,
            counted=unit.descriptor_counted,
            directions=unit.descriptor_directions,
            frame=frame,
            fewest=limits.token_documents,
        )
    place = Place(model, frame, kind, targets, descriptor)
    chosen = is_chosen(node.workload, unit, limits.min_documents)
    if unit.past is None or private is not None:
        made, facts, metrics = _train_alone(node, unit, place, layers, private, chosen, package.parent, report)
    else:
        begin = start_indices(node.workload, unit, limits.min_documents)
        checkpoint = package.parent / _CHECKPOINT
        made, facts, metrics = train_beside(node, unit, unit.past, place, begin, chosen, checkpoint, report)
        metrics = metrics if limits.foreign_figures else {}
    privacy = private.spent(int(facts["steps"])) if private else None
    card = _card(node, unit, made, descriptor, facts, limits.rounded(metrics), privacy)
    if succession is not None:
        card = dataclasses.replace(
            card,
            predecessor=succession.predecessor,
            forgotten=succession.forgotten,
            training={**card.training, "continued_from": succession.step},
        )
    prior = None if unit.replay is None else make_prior(node, unit.replay, exact=private is None)
    write_package(
        package,
        card=card if prior is None else dataclasses.replace(card, replay=prior.lines()),
        weights=made.weights,
        descriptor=descriptor,
        key=node.key,
        extra=made.extra,
        prior=prior,
        context=None if unit.replay is None else node.workload.public_context(),
    )


def _train_alone(
    node: Node,
    unit: TrainUnit,
    place: Place,
    layers: Sequence[int],
    private: PrivateTraining | None,
    chosen: bool,
    folder: Path,
    report: Report,
) -> tuple[TrainedExpert, dict[str, Scalar], dict[str, float]]:
    """Against the anchor, and with nobody else's expert: the expert, and what the card says of its training."""
    training, workload = unit.training, node.workload
    router: Router = build("atoll.routers", unit.router.name, unit.router.options)
    first = layers[0] if workload.cached_below else 0
    samples = Samples(workload, place.model, first, folder / "states")
    trainable = make_trainable(place.model, layers, unit.expert, router, place.descriptor, place.frame, unit.seed)
    runner = tail(trainable.model, first)
    trainable.model = runner

    if private is not None:
        data = PrivateData(functools.partial(samples.batch, "train"), workload.loss, workload.predicts)
        progress = train_privately(trainable, data, private, training, folder, report)
        return trainable.export(), private.facts(progress), {}

    def validate() -> float:
        return samples.loss(runner, training)

    parts = functools.partial(samples.parts, training=training, seed=unit.seed)
    look, checkpoint = validate if chosen else None, folder / _CHECKPOINT
    progress = train(trainable, parts, workload.loss, look, training, checkpoint, report, node.config.checkpoints)
    metrics = {"validation_loss_anchor": progress.first_loss, "validation_loss_expert": progress.best_loss}
    return trainable.export(), progress.facts(), metrics if chosen else {}


class Samples:
    """A silo's samples as inputs of the model, or where that pays as the cached states below the first expert."""

    def __init__(self, workload: Workload, model: nn.Module, first: int, cache: Path) -> None:
        self._workload = workload
        splits: tuple[Split, ...] = ("train", "validation")
        self._prefix = {split: Prefix(model, first, cache / f"{split}.states") if first else None for split in splits}

    def parts(self, step: int, training: TrainingConfig, seed: int) -> list[Batch]:
        """The training batch of one step, in the parts that it is run in."""
        indices = self._workload.batch_indices(step, training.batch, seed)
        size = training.batch // training.accumulation
        return [self.batch("train", indices[start : start + size]) for start in range(0, len(indices), size)]

    def loss(self, runner: nn.Module, training: TrainingConfig) -> float:
        """Mean validation loss, in nats a unit."""
        indices = self._workload.evaluation_indices("validation", training.validation_windows or None)
        device = next(runner.parameters()).device
        total, count = 0.0, 0
        with torch.no_grad():
            for start in range(0, len(indices), training.batch):
                batch = self.batch("validation", indices[start : start + training.batch]).to(device)
                part, predicted = self._workload.loss(runner(**batch.inputs, use_cache=False).logits, batch.targets)
                total, count = total + float(part), count + predicted
        return total / count

    def batch(self, split: Split, indices: Sequence[int]) -> Batch:
        """These samples side by side."""
        batch = self._workload.samples(split, indices)
        prefix = self._prefix[split]
        return batch if prefix is None else prefix.below(batch, indices)


def make_trainable(
    model: nn.Module,
    layers: Sequence[int],
    expert: ExpertConfig,
    router: Router,
    descriptor: Descriptor,
    frame: Descriptor,
    seed: int,
) -> Trainable:
    """Put a trainable expert into the anchor's model, in place."""
    if expert.kind == "lora":
        return LoraTrainable(model, layers, expert, seed)
    if expert.kind == "ffn":
        return FeedForwardTrainable(model, layers, expert, router, descriptor, frame)
    raise ConfigError(f"expert.kind is '{expert.kind}'; this node trains ffn and lora")


def expert_layers(layers: int, last: int) -> list[int]:
    """Numbers of the layers that get experts."""
    if last > layers:
        raise ConfigError(f"expert.last_layers is {last}, but the anchor has {layers} layers")
    return list(range(layers - last if last else 0, layers))


def targets_of(expert: ExpertConfig, layers: Sequence[int]) -> list[str]:
    """Module paths that the expert changes."""
    if expert.kind == "ffn":
        return [f"model.layers.{layer}.mlp" for layer in layers]
    attention = {"q_proj", "k_proj", "v_proj", "o_proj"}
    return [
        f"model.layers.{n}.{'self_attn' if m in attention else 'mlp'}.{m}"
        for n in layers
        for m in sorted(expert.modules)
    ]


def _card(
    node: Node,
    unit: TrainUnit,
    made: TrainedExpert,
    descriptor: Descriptor,
    facts: Mapping[str, Scalar],
    metrics: Mapping[str, float],
    privacy: Privacy | None,
) -> ExpertCard:
    counts, config = node.workload.counts, node.config
    documents: dict[str, int] = {split: count.documents for split, count in counts.items()}
    tokens: dict[str, int] = {split: count.tokens for split, count in counts.items()}
    if privacy is not None:
        # How many units are trained on is taken to be known; other counts have no noise, and are not told.
        documents, tokens = {**dict.fromkeys(documents, 0), "train": documents["train"]}, dict.fromkeys(tokens, 0)
    return ExpertCard(
        owner=config.owner,
        domain=config.domain,
        anchor=unit.anchor,
        kind=made.kind,
        sites=descriptor.sites,
        targets=made.targets,
        settings=dict(made.settings),
        workload=node.workload.name,
        documents=documents,
        tokens=tokens,
        training={**facts, "seed": unit.seed, **_trained_under(unit, made)},
        metrics=metrics,
        privacy=privacy,
        licence=config.licence,
        consent=Consent(
            purposes=tuple(config.consent.purposes), until=config.consent.until, statement=config.consent.statement
        ),
    )


def _trained_under(unit: TrainUnit, made: TrainedExpert) -> dict[str, Scalar]:
    """The router that a coordinated expert's row was trained under: its options decide what the anchor's row is."""
    if not made.settings.get("coordinated"):
        return {}
    router = unit.router if unit.past is None else unit.past.router
    return {ROUTER: router.to_json()}


def _identity(node: Node, unit: TrainUnit, limits: TrainLimits, succession: Succession | None) -> str:
    """Of the unit on this node's data: the owner's settings shape the card, and the key signs, so they count."""
    asked = [] if limits == NO_LIMITS else [limits.to_json()]
    asked += [] if succession is None else [succession.identity]
    config = repr(node.config.shaping)
    return _digest(unit.to_json(), config, node.workload.key, node.key.public.hex, *asked)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _file_digest(path: Path) -> str:
    with path.open("rb") as handle:
        return f"sha256:{hashlib.file_digest(handle, 'sha256').hexdigest()}"
