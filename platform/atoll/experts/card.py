"""The expert card: what is known of an expert, as strict YAML."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import yaml

from atoll.errors import PackageError
from atoll.experts import checks, strict_yaml
from atoll.experts.checks import Scalar

FORMAT = 1
SPLITS = ("train", "validation", "test")
_OPTIONAL = ("replay", "audit", "predecessor", "forgotten")


@dataclass(frozen=True, kw_only=True, slots=True)
class Consent:
    """What the owner permits.

    Attributes:
        purposes: What the expert may be used for.
        until: ISO date after which it may not be used; ``None`` for no end.
        statement: In the owner's words, one line.
    """

    purposes: tuple[str, ...]
    until: str | None
    statement: str

    def __post_init__(self) -> None:
        _set(self, "purposes", checks.texts("consent.purposes", self.purposes))
        checks.iso_date("consent.until", self.until)
        checks.text("consent.statement", self.statement, empty=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Privacy:
    """Differential privacy of the training: (ε, δ)."""

    epsilon: float
    delta: float

    def __post_init__(self) -> None:
        _set(self, "epsilon", checks.number("privacy.epsilon", self.epsilon))
        _set(self, "delta", checks.number("privacy.delta", self.delta))
        if self.epsilon <= 0:
            raise PackageError(f"'privacy.epsilon' is {self.epsilon}; it must be above zero")
        if not 0 <= self.delta < 1:
            raise PackageError(f"'privacy.delta' is {self.delta}; it must be at least zero and below one")


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpertCard:
    """What is known of an expert.

    Nothing in it depends on when or where it was made, so the same seed gives the same digest.

    Attributes:
        format: Version of the card's form.
        owner: Short name of the institution: lower-case letters, digits and hyphens.
        domain: What the data is about, in one line.
        anchor: Digest of the anchor it was trained against.
        kind: Expert kind, such as ``ffn`` or ``lora``.
        sites: Module paths of the routing sites, in order.
        targets: Module paths that the expert acts on, in order.
        settings: The kind's choices, such as ``rank`` and ``alpha``.
        workload: What a sample is, such as ``text``.
        documents: Documents by split.
        tokens: Tokens by split.
        training: How it was trained (steps, tokens_seen, seed …); never a date or a duration.
        metrics: Figures by name, finite.
        privacy: (ε, δ) where training was differentially private.
        licence: Of the expert.
        consent: What the owner permits.
        replay: What the package's prior keeps of the owner's data for generative replay, a line each; none without a
            prior, and then the key is not written.
        audit: What its owner measured of the privacy of a release that the expert is in, by name; not of the expert
            alone, so it stands in the card beside a release and not in the package. Not written where there is none.
        predecessor: Digest of the expert that this one was made in place of, without records that that one had seen.
            Not written where there is none, like ``forgotten``.
        forgotten: How many records those are.

    Raises:
        PackageError: an impossible value; the message names the key.
    """

    format: int = FORMAT
    owner: str
    domain: str
    anchor: str
    kind: str
    sites: tuple[str, ...]
    targets: tuple[str, ...]
    settings: Mapping[str, Scalar]
    workload: str
    documents: Mapping[str, int]
    tokens: Mapping[str, int]
    training: Mapping[str, Scalar]
    metrics: Mapping[str, float]
    privacy: Privacy | None
    licence: str
    consent: Consent
    replay: tuple[str, ...] = ()
    audit: Mapping[str, float] = field(default_factory=dict)
    predecessor: str = ""
    forgotten: int = 0

    def __post_init__(self) -> None:
        if self.format != FORMAT or isinstance(self.format, bool):
            raise PackageError(f"'format' must be {FORMAT} for this version of Atoll; another version made this card")
        slug = "1 to 63 lower-case letters, digits and hyphens"
        for key in ("owner", "kind", "workload"):
            checks.matching(key, getattr(self, key), checks.SLUG, slug)
        for key in ("domain", "licence"):
            checks.text(key, getattr(self, key))
        checks.matching("anchor", self.anchor, checks.DIGEST, "a digest 'sha256:' and 64 hexadecimal digits")
        _set(self, "sites", checks.paths("sites", self.sites))
        _set(self, "targets", checks.paths("targets", self.targets))
        for key in ("settings", "training"):
            found = checks.mapping(key, getattr(self, key))
            _set(self, key, {name: checks.scalar(f"{key}.{name}", value) for name, value in found.items()})
        for key in ("metrics", "audit"):
            found = checks.mapping(key, getattr(self, key))
            _set(self, key, {name: checks.number(f"{key}.{name}", value) for name, value in found.items()})
        for key in ("documents", "tokens"):
            counts = checks.mapping(key, getattr(self, key))
            strict_yaml.expect_keys(f"{key}.", counts, SPLITS)
            _set(self, key, {split: checks.count(f"{key}.{split}", counts[split]) for split in SPLITS})
        if self.privacy is not None and not isinstance(self.privacy, Privacy):
            raise PackageError("'privacy' must be null, or epsilon and delta")
        if not isinstance(self.consent, Consent):
            raise PackageError("'consent' must be purposes, until and statement")
        _set(self, "replay", checks.texts("replay", self.replay))
        _set(self, "forgotten", checks.count("forgotten", self.forgotten))
        if self.predecessor or self.forgotten:
            checks.matching("predecessor", self.predecessor, checks.DIGEST, "a digest of an expert")

    def to_yaml(self) -> bytes:
        """UTF-8 YAML; equal cards give equal bytes."""
        value: dict[str, Any] = {name: _plain(getattr(self, name)) for name in _names(ExpertCard)}
        for name in _OPTIONAL:
            if not value[name]:
                del value[name]
        dumped = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=2**20, default_flow_style=False)
        return dumped.encode("utf-8")

    @classmethod
    def from_yaml(cls, data: bytes) -> "ExpertCard":
        """Read a card, strictly: every key, no other key, right types.

        Raises:
            PackageError: not a card; the message names the key.
        """
        try:
            found = strict_yaml.load(data)
            strict_yaml.expect_keys("", found, [name for name in _names(cls) if name not in _OPTIONAL or name in found])
            found["consent"] = Consent(**_nested("consent", found["consent"], _names(Consent)))
            if found["privacy"] is not None:
                found["privacy"] = Privacy(**_nested("privacy", found["privacy"], _names(Privacy)))
            return cls(**found)
        except PackageError as error:
            raise PackageError(f"card: {error}") from error


def _nested(key: str, value: object, known: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise PackageError(f"'{key}' must be a mapping with {', '.join(known)}")
    strict_yaml.expect_keys(f"{key}.", value, known)
    return value


def _plain(value: Any) -> Any:
    """Fresh lists and dicts, since YAML writes an object that it meets twice as an alias."""
    if isinstance(value, Consent | Privacy):
        return {name: _plain(getattr(value, name)) for name in _names(type(value))}
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value


def _names(kind: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def _set(instance: object, name: str, value: object) -> None:
    """Settle a frozen value's field during its making: own copies, in a fixed order."""
    object.__setattr__(instance, name, value)
