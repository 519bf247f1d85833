"""Work units: what coordinator and silos say to each other, as values with a strict JSON form."""

import dataclasses
import hashlib
import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from atoll.config.decode import FOREIGN, Limits, decode_json, encode_json
from atoll.errors import ConfigError, DataError, FederationError
from atoll.experts.arrival_config import ArrivalConfig
from atoll.experts.privacy_config import PrivacyConfig
from atoll.experts.training import ExpertConfig, TrainingConfig
from atoll.privacy.audit_config import AuditConfig


@dataclass(frozen=True, kw_only=True)
class Unit:
    """Base of all that is said: fields only, JSON in and out."""

    limits: ClassVar[Limits] = FOREIGN
    """Of every value in it."""

    def to_json(self) -> str:
        """Sorted and compact, so that equal units are equal text.

        Raises:
            DataError: a number is not finite.
        """
        return encode_json(_spelled(dataclasses.asdict(self)), sort_keys=True, separators=(",", ":"))

    @property
    def address(self) -> str:
        """Content address: 32 hexadecimal digits."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:32]

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read :meth:`to_json`.

        Raises:
            FederationError: not JSON, an unknown or missing field, a wrong type, a value beyond :attr:`limits`.
        """
        try:
            # Not through the reader of configurations: what others send must not be able to name our variables.
            value = decode_json(text, cls, cls.__name__, cls.limits)
        except DataError as error:
            raise FederationError(f"a message is no {cls.__name__}: {error}") from error
        assert isinstance(value, cls)
        return value


_INFINITE = {"inf": math.inf, "-inf": -math.inf}


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A plug-in by name, with its options; an infinite one goes as ``"inf"`` or ``"-inf"``, which JSON can hold."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        read = {
            key: _INFINITE.get(value, value) if type(value) is str else value for key, value in self.options.items()
        }
        object.__setattr__(self, "options", read)

    def to_json(self) -> str:
        """Sorted and compact.

        Raises:
            DataError: an option is not a number that JSON holds.
        """
        return encode_json(_spelled(dataclasses.asdict(self)), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str, where: str) -> "Choice":
        """Read :meth:`to_json`.

        Raises:
            DataError: something else.
        """
        choice = decode_json(text, cls, where, FOREIGN)
        assert isinstance(choice, cls)
        return choice


@dataclass(frozen=True, kw_only=True)
class Announcement(Unit):
    """What a silo says of itself; no text, no path.

    Attributes:
        owner: The institution's name in the mixture.
        domain: What its data is about, in the owner's words.
        licence: Of the expert.
        public_key: Hex of the owner's Ed25519 key.
        anchor: Digest of the anchor that the silo has.
        parameters: Size of that anchor.
        documents: By split.
        tokens: By split.
        characters: By split.
        held: Digests of the blobs that the silo has already.
        workload: Of what kind the data is.
    """

    owner: str
    domain: str
    licence: str
    public_key: str
    anchor: str
    parameters: int
    documents: dict[str, int]
    tokens: dict[str, int]
    characters: dict[str, int]
    held: list[str]
    workload: str = "text"


@dataclass(frozen=True, kw_only=True)
class MemberRef:
    """One expert of a release."""

    owner: str
    digest: str
    blob: str
    public_key: str


@dataclass(frozen=True, kw_only=True)
class Past:
    """The release that a new expert is trained beside: its teacher, and what replay is drawn from.

    Attributes:
        release: Digest of that release.
        members: Its experts.
        integrator: What makes the mixture of them.
        router: Over what.
        shared: Digest of the blob with the router's fitted rows; empty for none.
        stage: Of the stream, counted from 1; the one that the new expert belongs to.
        arrival: How replay and distillation are mixed with the owner's own data.
        replay: The generator.
    """

    release: str
    members: list[MemberRef]
    integrator: Choice
    router: Choice
    shared: str
    stage: int
    arrival: ArrivalConfig
    replay: Choice


@dataclass(frozen=True, kw_only=True)
class TrainUnit(Unit):
    """Train one expert.

    Attributes:
        anchor: Digest that the silo's anchor must have.
        expert: What the expert is made of.
        training: The optimization.
        router: The router that coordinated experts train beside.
        embedder: What describes the domain.
        descriptor_documents: How many documents are embedded for the descriptor, at most.
        descriptor_counted: How many documents its token shares rest on, at most; 0 for no shares.
        descriptor_directions: In how many directions the variance is told as well; 0 for none.
        seed: Of everything random but what privacy rests on.
        privacy: Differential privacy of the training.
        past: The mixture to train it beside; ``None`` to train it by itself.
        replay: Generator that the owner's prior is made for; ``None`` for no prior.
    """

    anchor: str
    expert: ExpertConfig
    training: TrainingConfig
    router: Choice
    embedder: str
    descriptor_documents: int
    descriptor_counted: int
    seed: int
    privacy: PrivacyConfig = field(default_factory=PrivacyConfig)
    past: Past | None = None
    replay: Choice | None = None
    descriptor_directions: int = 0

    def check(self) -> None:
        """Raise ConfigError for what cannot be."""
        self.expert.check()
        self.training.check()
        self.privacy.check()
        if self.past is not None:
            self.past.arrival.check()
        if self.privacy.on and self.past is not None and self.past.members:
            raise ConfigError(
                f"privacy.epsilon is {self.privacy.epsilon}, but the expert is trained beside a release: its router "
                "sends tokens to some experts only, and such sparse dispatch does not tell whose gradient is whose. "
                "Train it privately and by itself, or set privacy.epsilon=0"
            )

    @property
    def needs(self) -> list[str]:
        """Digests of the blobs without which it cannot be done."""
        return [] if self.past is None else _needed(self.past.members, self.past.shared)


@dataclass(frozen=True, kw_only=True)
class TrainReply(Unit):
    """What training an expert found.

    Attributes:
        digest: Content digest of the package.
        blob: Digest of the package file, which comes beside this.
        metrics: Figures by name.
        missing: Digests of blobs of the past that did not come and are not held; where there is one, nothing was
            trained, and the rest is empty.
    """

    digest: str = ""
    blob: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One model to be evaluated.

    Attributes:
        name: What the result is called.
        members: Owners whose experts are integrated.
        integrator: How; empty name for the anchor by itself.
        router: Over what.
        entitlement: Owners that may answer; ``None`` for all members.
        alone: Evaluate the silo's own expert alone, as it was trained; silos that are no member skip the variant.
        fitted: Under the router's fitted rows of the unit, and not under those of the descriptors.
    """

    name: str
    members: list[str]
    integrator: Choice
    router: Choice
    entitlement: list[str] | None = None
    alone: bool = False
    fitted: bool = False


@dataclass(frozen=True, kw_only=True)
class EvaluateUnit(Unit):
    """Evaluate models on the silo's own data, exactly: in runs of one's own, where silos are processes on one machine.

    A node refuses it. What others may ask of a node is :class:`atoll.federation.measuring.MeasureUnit`.

    Attributes:
        anchor: Digest that the silo's anchor must have.
        members: Every expert that a variant names.
        variants: The models.
        split: ``test``, or ``validation`` for tuning.
        windows: Windows at most, evenly spaced; 0 for all.
        batch: Windows in one forward pass.
        shared: Digest of the blob with the router's fitted rows; empty for none.
        audit: What to measure of the privacy of a variant that the silo's expert is in; ``None`` for nothing.
        replay: Generator of the published replay that the audit looks at; ``None`` for no replay.
    """

    anchor: str
    members: list[MemberRef]
    variants: list[Variant]
    shared: str = ""
    split: str = "test"
    windows: int = 64
    batch: int = 8
    audit: AuditConfig | None = None
    replay: Choice | None = None

    def check(self) -> None:
        """Raise ConfigError for what cannot be."""
        if self.batch < 1:
            raise ConfigError(f"batch is {self.batch}; it must be at least 1")
        if self.audit is not None:
            self.audit.check()

    @property
    def needs(self) -> list[str]:
        """Digests of the blobs without which it cannot be done."""
        return _needed(self.members, self.shared)


WORST_LOSS = 1000.0
"""Nats a token of a model that computes no finite loss; chance among a million tokens costs 14."""


@dataclass(frozen=True, kw_only=True)
class EvaluateReply(Unit):
    """What an evaluation found.

    Attributes:
        missing: Digests of blobs that did not come and are not held; where there is one, nothing was evaluated.
        loss: Mean loss in nats a token, visit or whatever the workload predicts, by variant.
        tokens: How many of them were predicted.
        scores: Further figures by variant and name, each a mean over what was predicted; none for text.
        shares: Share of the routing weight by slot, by variant; for variants with a router.
        audit: What the audit found, by name; empty where none was asked for, or the silo has no expert in the variant.
        documents: How many documents a node's figures rest on, each weighing alike; 0 for exact figures of one's own.
        step: What a node's losses are rounded to, nats; 0 for exact figures of one's own.
        noise: Standard deviation of the noise in a node's losses, nats; 0 for none.
        left_out: Scores that a node does not tell, and why.
    """

    missing: list[str] = field(default_factory=list)
    loss: dict[str, float] = field(default_factory=dict)
    tokens: int = 0
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    shares: dict[str, dict[str, float]] = field(default_factory=dict)
    audit: dict[str, float] = field(default_factory=dict)
    documents: int = 0
    step: float = 0.0
    noise: float = 0.0
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def finite(self) -> Self:
        """The same in numbers that can be sent: a loss that is none counts as :data:`WORST_LOSS`, so that a model
        without one does harm; a score or a share that is none is left out.
        """
        loss = {name: value if math.isfinite(value) else WORST_LOSS for name, value in self.loss.items()}
        return dataclasses.replace(self, loss=loss, scores=_finite(self.scores), shares=_finite(self.shares))


def _finite(figures: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    return {
        model: {name: value for name, value in found.items() if math.isfinite(value)}
        for model, found in figures.items()
    }


def _spelled(value: Any) -> Any:
    """The same with infinite options as text; an infinity anywhere else stays, and is refused."""
    if isinstance(value, list):
        return [_spelled(item) for item in value]
    if not isinstance(value, dict):
        return value
    made = {key: _spelled(item) for key, item in value.items()}
    if isinstance(made.get("options"), dict):
        made["options"] = {
            key: str(item) if isinstance(item, float) and math.isinf(item) else item
            for key, item in made["options"].items()
        }
    return made


@dataclass(frozen=True, kw_only=True)
class ConsentRequest(Unit):
    """State what is permitted, in a run of one's own silos; a node at an institution is not asked this.

    Attributes:
        expert: Digest of the package; empty for all, and with purposes for all that come after.
        purposes: What it may be used for; none to withdraw it.
        until: ISO date, the last day; ``None`` for no end.
        words: In the owner's words.
    """

    expert: str
    purposes: list[str]
    until: str | None
    words: str


@dataclass(frozen=True, kw_only=True)
class ConsentReply(Unit):
    """It is stated.

    Attributes:
        statement: The signed statement, as JSON.
    """

    statement: str


def _needed(members: list[MemberRef], shared: str) -> list[str]:
    return [*(member.blob for member in members), *([shared] if shared else [])]
