"""What an institution allows its node to do and to tell, whatever anyone asks. The file is the institution's alone."""

import fnmatch
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, time

from atoll.clients.gate.refusal import Refusal as Refusal
from atoll.clients.gate.training_policy import TrainingPolicy
from atoll.clients.measuring.policy import MeasuringPolicy
from atoll.clients.training.basis import TrainBasis
from atoll.clients.training.limits import TrainLimits
from atoll.errors import ConfigError, FederationError
from atoll.experts.card import ExpertCard
from atoll.experts.package import PackageFacts
from atoll.experts.signing import PublicKey
from atoll.federation.measuring import MeasureUnit
from atoll.federation.node_config import COUNTS, NOISED, NOTHING, TELL
from atoll.federation.units import Announcement, EvaluateReply, EvaluateUnit, TrainUnit
from atoll.privacy.audit_config import AuditConfig
from atoll.replay import Prior

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_WINDOW = re.compile(r"(?:(\w{3})(?:-(\w{3}))? )?(\d\d:\d\d)-(\d\d:\d\d)")
DESCRIPTOR = ("nothing", "statistics", "directions", "token-shares")
"""What may be told of the domain, from least to most."""
PINNED, CO_SIGNED, ANYBODY = PEERS = ("pinned", "co-signed", "any")
"""Whose experts a unit may name, from fewest to most."""
_KEEPS = "the expert's prior keeps something of the data"


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The institution's own rules.

    What ``privacy_required`` asks for is a promise about the weights of one expert. It does not cover what leaves
    beside them: the domain descriptor, the metrics and a prior for replay, which have keys of their own. And what
    several trainings on the same data spend adds up.

    Attributes:
        coordinators: Keys of the coordinators that may ask for anything, 64 hexadecimal digits each.
        work: Kinds of work: ``train``, ``evaluate``.
        workloads: Workloads that may be trained on.
        kinds: Expert kinds that may be trained.
        max_steps: Most steps of one training.
        descriptor: What may be told of the domain: ``nothing`` (then no expert can leave, for every package describes
            its domain), ``statistics`` (means and variances of embeddings), ``directions`` (also those in which they
            vary most) or ``token-shares`` (also how often tokens that several documents hold occur).
        metrics: Names of figures that may be told; ``*`` stands for any letters.
        replay: What an expert's prior, from which replay is drawn, may keep of the data: ``nothing``, ``noised``
            (counts with Laplace noise) or ``counts`` (as they are).
        replay_epsilon: Largest ε of one prior's noise; its δ is always to be below one in what it rests on.
        replay_smallest: Fewest documents or people that a count in a prior may rest on.
        max_replay_samples: Most samples that may be drawn of this owner's domain from one release, by anyone.
        max_expert_bytes: Largest package that may leave.
        max_bytes_a_day: Most that may leave in a day, of everything; 0 for no limit.
        hours: When work may be done, such as ``Mon-Fri 18:00-06:00`` or ``22:00-06:00``; none for always.
        min_documents: Fewest documents that anything told may rest on.
        privacy_required: Whether only experts that were trained with differential privacy may leave, with δ below one
            in the number of documents.
        measuring: What others may measure on this data, how exactly and how often.
        max_epsilon: Largest ε, where that is required, and with which a training counts as private.
        training: What a training must rest on, how many there may be, and what they may spend in all.
        peers: Whose experts a unit may name: ``pinned`` (those whose keys this owner pinned), ``co-signed`` (also
            those for whom enough known members or an authority vouch) or ``any`` (whomever the coordinator admits, and
            that can be itself under other names: the budgets are the defence then).
        peer_cosigners: Known members that must have signed a newcomer's key, under ``co-signed``.
        peer_roots: PEM file of the authorities whose certificate is enough, under ``co-signed``; empty for none.
    """

    coordinators: list[str]
    work: list[str] = field(default_factory=lambda: ["train", "evaluate"])
    workloads: list[str] = field(default_factory=lambda: ["text", "mobility", "images", "tabular"])
    kinds: list[str] = field(default_factory=lambda: ["ffn", "lora"])
    max_steps: int = 100_000
    descriptor: str = "token-shares"
    metrics: list[str] = field(
        default_factory=lambda: [
            "validation_loss_*",
            "loss",
            "shares",
            "accuracy",
            "accuracy@*",
            "auroc",
            "brier",
            "ece",
            "mrr",
            "membership_*",
            "extraction_*",
            "uniqueness_*",
            "router_stopped",
        ]
    )
    replay: str = NOISED
    replay_epsilon: float = 4.0
    replay_smallest: float = 3.0
    max_replay_samples: int = 5000
    max_expert_bytes: int = 4 << 30
    max_bytes_a_day: int = 0
    hours: list[str] = field(default_factory=list)
    min_documents: int = 20
    privacy_required: bool = False
    max_epsilon: float = 8.0
    measuring: MeasuringPolicy = field(default_factory=MeasuringPolicy)
    training: TrainingPolicy = field(default_factory=TrainingPolicy)
    peers: str = ANYBODY
    peer_cosigners: int = 2
    peer_roots: str = ""

    def check(self) -> None:
        """Raise ConfigError for what cannot be."""
        for key in self.coordinators:
            PublicKey.from_hex(key)
        if self.descriptor not in DESCRIPTOR:
            raise ConfigError(f"descriptor is '{self.descriptor}'; it is one of {', '.join(DESCRIPTOR)}")
        odd = sorted(set(self.work) - {"train", "evaluate"})
        if odd:
            raise ConfigError(f"work names '{odd[0]}'; there is train and evaluate")
        for text in self.hours:
            _window(text)
        if self.peers not in PEERS:
            raise ConfigError(f"peers is '{self.peers}'; it is one of {', '.join(PEERS)}")
        if self.peer_cosigners < 1:
            raise ConfigError(f"peer_cosigners is {self.peer_cosigners}; it must be at least 1")
        if self.replay not in TELL:
            raise ConfigError(f"replay is '{self.replay}'; it is one of {', '.join(TELL)}")
        if not self.replay_smallest >= 0:
            raise ConfigError(f"replay_smallest is {self.replay_smallest}; it must be at least 0")
        for name in ("max_steps", "max_replay_samples", "max_expert_bytes", "min_documents"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 1")
        for name in ("replay_epsilon", "max_epsilon"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be above 0")
        self.measuring.check()
        self.training.check()

    def allow_coordinator(self, key: PublicKey) -> None:
        """Raise Refusal for a coordinator that is not listed."""
        if key.hex not in self.coordinators:
            raise Refusal(f"the coordinator's key {key.fingerprint} is not among the policy's coordinators")

    def allow_training(self, unit: TrainUnit, silo: Announcement) -> None:
        """Raise Refusal for a training that is not allowed."""
        self._allow_work("train", silo)
        _among("workloads", silo.workload, self.workloads)
        _among("kinds", unit.expert.kind, self.kinds)
        if unit.training.steps > self.max_steps:
            raise Refusal(f"{unit.training.steps} steps are asked for, and the policy's max_steps is {self.max_steps}")
        self.training.allow_size(unit)
        self._allow_descriptor(unit.descriptor_counted > 0, unit.descriptor_directions > 0)
        self._allow_rest(silo.documents["train"], "training")
        if self.privacy_required and not unit.privacy.on:
            raise Refusal(
                "the policy requires differential privacy (privacy_required), and the unit asks for training without; "
                f"the coordinator can ask for it (privacy.epsilon={self.max_epsilon:g})"
            )
        if self.privacy_required:
            self._allow_privacy(unit.privacy.epsilon, unit.privacy.delta, silo.documents["train"])

    def allow_measuring(self, unit: MeasureUnit | EvaluateUnit) -> None:
        """Raise Refusal for a measurement that is not allowed, whatever the data is and whatever was asked before."""
        _among("work", "evaluate", self.work)
        if isinstance(unit, EvaluateUnit):
            raise Refusal(
                "it names models of its own making; a node measures entitlements within signed candidates only (a "
                "MeasureUnit): the coordinator's version of Atoll is too old, or it is no coordinator of Atoll"
            )
        try:
            unit.check()
            for candidate in unit.candidates:
                candidate.check()
        except FederationError as error:  # made of what was asked, and of nothing here
            raise Refusal(f"what is asked cannot be: {error}") from error
        _among("measuring.splits", unit.split, self.measuring.splits)
        self._allow_metrics(["loss"])
        for candidate in unit.candidates:
            self.allow_coordinator(PublicKey.from_hex(candidate.public_key))
        for asked in unit.measurements:
            if asked.baseline:
                _among("measuring.baselines", asked.baseline, self.measuring.baselines)
        if unit.audit is not None and unit.audit.on:
            self._allow_audit(unit.audit)

    @property
    def limits(self) -> TrainLimits:
        """What the process that trains must keep to."""
        return self.training.limits(self.min_documents)

    def allow_package(self, unit: TrainUnit, basis: TrainBasis, package: PackageFacts) -> None:
        """Raise Refusal for a package that is not what was planned."""
        self.training.allow_package(unit, basis, package, self.min_documents)

    def allow_basis(self, unit: TrainUnit, basis: TrainBasis, silo: Announcement) -> None:
        """Raise Refusal for a training of which anything that leaves would rest on too few documents."""
        documents = silo.documents["train"]
        private = unit.privacy.on and unit.privacy.epsilon <= self.max_epsilon and unit.privacy.delta * documents < 1
        self.training.allow_basis(unit, basis, self.min_documents, private=private)

    def _allow_audit(self, audit: AuditConfig) -> None:
        if not self.measuring.audits:
            raise Refusal("an audit is asked for, and the policy's measuring.audits is 0")
        audit.check()
        self._allow_metrics(["membership_loss_auc"])
        self._allow_rest(min(audit.samples, audit.extraction.prefixes), "the audit")

    def allow_expert(
        self, card: ExpertCard, *, has_shares: bool, has_directions: bool, prior: Prior | None, size: int
    ) -> None:
        """Raise Refusal for a package that may not leave: the last look, at what was made and not at what was asked."""
        _among("workloads", card.workload, self.workloads)
        _among("kinds", card.kind, self.kinds)
        self._allow_metrics(card.metrics)
        self._allow_descriptor(has_shares, has_directions)
        if prior is not None:
            self._allow_prior(prior)
        self._allow_rest(card.documents["train"], "the expert")
        if size > self.max_expert_bytes:
            raise Refusal(f"the package has {size} bytes, and the policy's max_expert_bytes is {self.max_expert_bytes}")
        if self.privacy_required and card.privacy is None:
            raise Refusal("the policy requires differential privacy (privacy_required); the expert was trained without")
        if self.privacy_required and card.privacy is not None:
            self._allow_privacy(card.privacy.epsilon, card.privacy.delta, card.documents["train"])

    def allow_figures(self, reply: EvaluateReply) -> None:
        """Raise Refusal for figures that may not leave."""
        told = {name for name in ("loss", "shares") if getattr(reply, name)}
        self._allow_metrics(sorted(told.union(reply.audit, *reply.scores.values())))

    def allow_bytes(self, more: int, today: int) -> None:
        """Raise Refusal where more bytes would be too many for a day."""
        if self.max_bytes_a_day and today + more > self.max_bytes_a_day:
            raise Refusal(
                f"{today} bytes have left today, and {more} more would be above the policy's max_bytes_a_day "
                f"({self.max_bytes_a_day})"
            )

    def is_open(self, now: datetime) -> bool:
        """Whether work may be done at this moment, in the node's own time zone."""
        return not self.hours or any(_inside(text, now) for text in self.hours)

    def _allow_work(self, work: str, silo: Announcement) -> None:
        _among("work", work, self.work)

    def _allow_descriptor(self, has_shares: bool, has_directions: bool) -> None:
        if self.descriptor == "nothing":
            raise Refusal("the policy lets nothing be told of the domain (descriptor), and every expert describes it")
        if has_shares and self.descriptor != "token-shares":
            raise Refusal(
                f"token shares are asked for, and the policy's descriptor is '{self.descriptor}'; the coordinator can "
                "ask without them (descriptor.counted=0, with a router that needs none)"
            )
        if has_directions and self.descriptor not in ("directions", "token-shares"):
            raise Refusal(
                f"directions of the embeddings' variance are asked for, and the policy's descriptor is "
                f"'{self.descriptor}'; the coordinator can ask without them (descriptor.directions=0)"
            )

    def _allow_prior(self, prior: Prior) -> None:
        if self.replay == NOTHING and prior.tensors:
            raise Refusal(f"{_KEEPS}, and the policy's replay is 'nothing': set replay.tell=nothing in node.yaml")
        told = prior.declared.values()
        if self.replay != COUNTS and any(declared.epsilon is None for declared in told):
            raise Refusal(f"{_KEEPS} without noise, and the policy's replay is '{self.replay}': set replay.tell=noised")
        if prior.epsilon is not None and not prior.epsilon <= self.replay_epsilon:
            raise Refusal(
                f"{_KEEPS} with ε = {prior.epsilon:g}; the policy's replay_epsilon is {self.replay_epsilon:g}"
            )
        for declared in told:
            if not declared.delta < 1 / declared.units:
                raise Refusal(
                    f"{_KEEPS} with δ = {declared.delta:g}, which is no promise to {declared.units} {declared.unit}s; "
                    f"its generator must keep it below {1 / declared.units:g}"
                )
        if any(declared.smallest < self.replay_smallest for declared in told):
            raise Refusal(f"{_KEEPS} in smaller counts than the policy's replay_smallest ({self.replay_smallest:g})")
        if not 0 < prior.most <= self.max_replay_samples:
            raise Refusal(
                f"the expert's prior permits {prior.most or 'any number of'} samples a release, and the policy's "
                f"max_replay_samples is {self.max_replay_samples}: set replay.samples in node.yaml"
            )

    def _allow_privacy(self, epsilon: float, delta: float, documents: int) -> None:
        # Written so that what is not a number is refused as well.
        if not epsilon <= self.max_epsilon:
            raise Refusal(
                f"differential privacy with ε = {epsilon:g} is above the policy's max_epsilon ({self.max_epsilon:g})"
            )
        if not delta < 1 / max(1, documents):
            raise Refusal(
                f"differential privacy with δ = {delta:g} is no promise to {documents} documents (privacy_required); "
                f"it must be below {1 / max(1, documents):g}"
            )

    def _allow_metrics(self, names: Iterable[str]) -> None:
        for name in names:
            if not any(fnmatch.fnmatchcase(name, pattern) for pattern in self.metrics):
                raise Refusal(f"the figure '{name}' is not among the policy's metrics ({', '.join(self.metrics)})")

    def _allow_rest(self, documents: int, what: str) -> None:
        if documents < self.min_documents:
            raise Refusal(
                f"{what} would rest on {documents} documents; the policy's min_documents is {self.min_documents}"
            )


def _among(key: str, value: str, allowed: list[str]) -> None:
    if value not in allowed:
        raise Refusal(f"'{value}' is not among the policy's {key} ({', '.join(allowed) or 'none'})")


def _window(text: str) -> tuple[int, int, time, time]:
    found = _WINDOW.fullmatch(text)
    if found is None or not {found[1] or "Mon", found[2] or "Mon"} <= set(_DAYS):
        raise ConfigError(
            f"hours names '{text}'; it looks like 'Mon-Fri 18:00-06:00', 'Sat 08:00-20:00' or '22:00-06:00'"
        )
    first = _DAYS.index(found[1]) if found[1] else 0
    last = _DAYS.index(found[2]) if found[2] else (first if found[1] else 6)
    try:
        return first, last, time.fromisoformat(found[3]), time.fromisoformat(found[4])
    except ValueError as error:
        raise ConfigError(f"hours names '{text}', which is no time of day") from error


def _inside(text: str, now: datetime) -> bool:
    """Whether a moment is in a window; one that ends before it begins goes on past midnight, into the next day."""
    first, last, begin, end = _window(text)
    clock, day = now.time(), now.weekday()
    if begin <= end:
        return _day(day, first, last) and begin <= clock < end
    return (_day(day, first, last) and clock >= begin) or (_day((day - 1) % 7, first, last) and clock < end)


def _day(day: int, first: int, last: int) -> bool:
    return first <= day <= last if first <= last else day >= first or day <= last
