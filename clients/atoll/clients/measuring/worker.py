"""The worker's part of measuring: each record's sums under each model. Nothing here decides what leaves."""

import hashlib
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import nn

from atoll.clients.audit.audit import Report, audit_release
from atoll.clients.audit.published import Source
from atoll.clients.measuring.records import MOST, MeasureOrder, MeasureRecords, RecordsAnswer, RecordsQuestion, Row
from atoll.clients.measuring.rounding import node_secret
from atoll.clients.node import Node
from atoll.config.decode import OWN
from atoll.errors import ConfigError, DataError
from atoll.experts.integrator import Integrator
from atoll.experts.package import ExpertPackage, read_package
from atoll.experts.signing import PublicKey
from atoll.federation.measuring import Candidate, Measurement
from atoll.mixture import Call, Mixture, Router
from atoll.mixture.shared import Shared
from atoll.plugins import build
from atoll.replay import Teacher
from atoll.workloads.classification.workload import Classification
from atoll.workloads.workload import SPLITS, Split, Workload

_AT_ONCE = 8
"""Samples of one record in one forward pass."""


def list_records(node: Node, question: RecordsQuestion) -> RecordsAnswer:
    """The digests of a split's records.

    Raises:
        ConfigError: there is no such split.
    """
    return RecordsAnswer(digests=list(_digests(node, _split(question.split))))


def measure_records(node: Node, order: MeasureOrder, report: Report) -> MeasureRecords:
    """Every measurement of the order on every document that it names.

    Raises:
        PackageError: an expert that does not verify.
        FederationError: the unit is for another anchor.
        DataError: a document is there no more.
    """
    unit = order.unit
    node.expect_anchor(unit.anchor)
    split = _split(unit.split)
    documents = _chosen(node, split, order.documents)
    models = _Models(node)
    sums = _Sums(node.workload, split, documents)
    anchor, _ = sums.of(models.anchor, None)
    rows: dict[str, list[Row]] = {}
    slots: dict[str, list[str]] = {}
    for done, asked in enumerate(unit.measurements):
        report(done, len(unit.measurements), asked.name)
        if not asked.candidate:
            rows[asked.name] = anchor
            continue
        candidate = unit.candidate(asked.candidate)
        if asked.alone and node.config.owner not in candidate.owners:
            continue
        rows[asked.name], slots[asked.name] = sums.of(*models.of(candidate, asked))
    audit = _audit(node, order, models, report) if order.audit else {}
    report(len(unit.measurements), len(unit.measurements), "measured")
    classes = len(node.workload.classes) if isinstance(node.workload, Classification) else 0
    return MeasureRecords(anchor=anchor, rows=rows, slots=slots, classes=classes, audit=audit)


class _Models:
    """Mixtures of candidates on the node's device; the last one is kept for its further entitlements."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.anchor = node.model()
        self._experts: dict[str, ExpertPackage] = {}
        self._built: tuple[object, nn.Module] | None = None

    def experts(self, candidate: Candidate) -> dict[str, ExpertPackage]:
        """Its members' packages by owner, verified."""
        for member in candidate.members:
            if member.digest not in self._experts:
                trusted = PublicKey.from_hex(member.public_key)
                path = self._node.blobs.get(member.blob)
                self._experts[member.digest] = read_package(path, trusted=trusted, anchor=candidate.anchor)
        return {member.owner: self._experts[member.digest] for member in candidate.members}

    def of(self, candidate: Candidate, asked: Measurement) -> tuple[nn.Module, list[str] | None]:
        """The model of a measurement, and who may answer in it."""
        what = (candidate.digest, asked.baseline, asked.alone)
        if self._built is None or self._built[0] != what:
            self._built = None  # the one before makes room
            self._built = what, self._build(candidate, asked)
        return self._built[1], asked.entitlement

    def _build(self, candidate: Candidate, asked: Measurement) -> nn.Module:
        experts = self.experts(candidate)
        chosen = [experts[self._node.config.owner]] if asked.alone else [experts[owner] for owner in candidate.owners]
        router: Router = build("atoll.routers", candidate.router.name, candidate.router.options)
        name, options = candidate.integrator.name, candidate.integrator.options
        if asked.baseline:
            name, options = asked.baseline, {}
        elif asked.alone and not chosen[0].card.settings.get("coordinated"):
            # Trained in the anchor's place, so it stands in the anchor's place; a router would mix the anchor in.
            name, options = "soup", {}
        integrator: Integrator = build("atoll.integrators", name, options)
        frame = self._node.frame(self.anchor, chosen[0].card.sites)
        made = integrator.integrate(self.anchor, frame, chosen, router)
        if candidate.shared and not asked.baseline and not asked.alone:
            made = made.with_rows(Shared.from_bytes(self._node.blobs.get(candidate.shared).read_bytes()).rows)
        return made.to(self._node.device)


@dataclass(frozen=True, eq=False, slots=True)
class _Sums:
    """Sums over records, each read by itself: no document can change what is measured on another."""

    workload: Workload
    split: Split
    documents: Sequence[Sequence[int]]

    @torch.no_grad()
    def of(self, model: nn.Module, entitlement: list[str] | None) -> tuple[list[Row], list[str]]:
        """A row for each record, and the names of the slots where there are any."""
        slots = list(model.slots) if isinstance(model, Mixture) else []
        device = next(model.parameters()).device
        return [self._row(model, entitlement, samples, device) for samples in self.documents], slots

    def _row(
        self, model: nn.Module, entitlement: list[str] | None, samples: Sequence[int], device: torch.device
    ) -> Row:
        loss, count, scores = 0.0, 0, dict[str, float]()
        with _using(model, entitlement) as call:
            for start in range(0, len(samples), _AT_ONCE):
                batch = self.workload.record_samples(self.split, samples[start : start + _AT_ONCE]).to(device)
                logits = model(**batch.inputs, use_cache=False).logits
                part, predicted = self.workload.loss(logits, batch.targets)
                loss, count = loss + float(part), count + predicted
                for name, value in self.workload.scores(logits, batch.targets).items():
                    scores[name] = scores.get(name, 0.0) + value
            shares = call.shares() if call is not None and call.mass_N is not None else []
        scores = {name: _sendable(value) for name, value in scores.items()}
        return Row(loss=_sendable(loss), count=count, scores=scores, shares=[_sendable(share) for share in shares])


@contextmanager
def _using(model: nn.Module, entitlement: list[str] | None) -> Iterator[Call | None]:
    if not isinstance(model, Mixture):
        yield None
        return
    with model.use(entitlement) as call:
        yield call


def _audit(node: Node, order: MeasureOrder, models: _Models, report: Report) -> dict[str, float]:
    """What the audited release tells of the training split; nothing where the owner does not answer in it."""
    unit, config, owner = order.unit, order.unit.audit, node.config.owner
    assert config is not None
    asked = next(each for each in unit.measurements if each.name == config.release)
    candidate = unit.candidate(asked.candidate)
    answering = candidate.owners if asked.entitlement is None else asked.entitlement
    if owner not in answering:
        return {}
    model, entitlement = models.of(candidate, asked)
    prior = models.experts(candidate)[owner].prior
    source = Source(Teacher(model.eval(), entitlement), tuple(answering), owner, prior)
    anchor = Teacher(models.anchor.eval())
    found = audit_release(node, source, anchor, config, unit.replay, batch=_AT_ONCE, report=report)
    return {name: value for name, value in found.items() if math.isfinite(value)}


def _sendable(value: float) -> float:
    """The same as JSON can hold it; what is no number is as bad as can be, which the agent's bounds then cut."""
    return value if math.isfinite(value) else OWN.magnitude


def _digests(node: Node, split: Split) -> dict[str, list[int]]:
    """Samples of each record by the record's digest, of the first :data:`MOST` records by rank; equal ones are one."""
    known = _KNOWN.setdefault(node.workload, {})
    if split not in known:
        secret = node_secret(node.folder)
        found: dict[str, list[int]] = {}
        for samples in node.workload.sample_groups(split) if node.workload.counts[split].documents else ():
            parts = sorted(node.workload.sample_digest(split, index) for index in samples)
            digest = hashlib.blake2b(" ".join(parts).encode(), key=secret, digest_size=16).hexdigest()
            found.setdefault(digest, samples)
        known[split] = {digest: found[digest] for digest in sorted(found)[:MOST]}
    return known[split]


_KNOWN: "WeakKeyDictionary[Workload, dict[Split, dict[str, list[int]]]]" = WeakKeyDictionary()
"""By data that is open: a node reads its data when its process starts."""


def _chosen(node: Node, split: Split, documents: Sequence[str]) -> list[list[int]]:
    there = _digests(node, split)
    if any(digest not in there for digest in documents):
        raise DataError(f"the {split} split has changed since its documents were chosen; ask again")
    return [there[digest] for digest in documents]


def _split(name: str) -> Split:
    if name not in SPLITS:
        raise ConfigError(f"there is no split '{name[:40]}': there are {', '.join(SPLITS)}")
    return name
