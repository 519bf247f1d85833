"""What a ledger holds of owners, experts, releases and work; what is said of consent since version 2 is beside this."""

from dataclasses import dataclass
from typing import ClassVar

from atoll.ledger.fact import Fact, fact_from_json, known_fact

__all__ = ["Fact", "fact_from_json"]

ANY = "any"
"""The purpose that stands for all."""


@known_fact
@dataclass(frozen=True, kw_only=True)
class OwnerAdmitted(Fact):
    """An institution may take part.

    Attributes:
        owner: Its short name.
        domain: What its data is about.
        public_key: Hex of the Ed25519 key that it signs with.
        node_key: PEM of the key by which its node is known to the engine; empty for an owner without a node, who hands
            its packages over as files.
        enrolment: The owner's signed request (the line of an :class:`~atoll.experts.statements.Enrolment`). Needed
            where there is a node key, in ledgers of version 2.
        until: ISO date, the last day on which new experts and permissions are taken under this key; empty for no end.
    """

    kind: ClassVar[str] = "owner-admitted"
    owner: str
    domain: str
    public_key: str
    node_key: str = ""
    enrolment: str = ""
    until: str = ""


@known_fact
@dataclass(frozen=True, kw_only=True)
class OwnerRevoked(Fact):
    """An institution may no longer take part. Consent to what it gave before is a matter of its own.

    Attributes:
        owner: Which.
        reason: Why.
        bars_keys: Whether its keys, and those that they took over from, are never admitted again: they may be stolen.
    """

    kind: ClassVar[str] = "owner-revoked"
    owner: str
    reason: str
    bars_keys: bool = False


@dataclass(frozen=True, kw_only=True)
class Terms(Fact):
    """What an owner permits with an expert, from then on.

    Attributes:
        owner: Whose.
        expert: Digest of the package.
        purposes: What it may be used for; ``any`` for everything.
        until: ISO date, the last day of it; ``None`` for no end.
        statement: In the owner's words.
    """

    owner: str
    expert: str
    purposes: list[str]
    until: str | None
    statement: str


@known_fact
@dataclass(frozen=True, kw_only=True)
class ExpertAccepted(Terms):
    """An expert passed every check; it brings the consent that its owner signed with it.

    Attributes:
        blob: Content address of its bytes.
        anchor: Digest of the anchor it is for.
        card: Text of the card that the owner signed, which says the same of consent; empty in ledgers of version 1.
        manifest: Of the package, which names the card.
        signature: Hex of the owner's signature over the package.
    """

    kind: ClassVar[str] = "expert-accepted"
    blob: str
    anchor: str
    card: str = ""
    manifest: str = ""
    signature: str = ""


@known_fact
@dataclass(frozen=True, kw_only=True)
class ConsentGiven(Terms):
    """An owner is said to change what it permits, without its signature: in ledgers of version 1 only.

    Attributes:
        number: Counts the owner's own statements; 0 where it made none of its own.
    """

    kind: ClassVar[str] = "consent-given"
    number: int = 0


@known_fact
@dataclass(frozen=True, kw_only=True)
class ConsentWithdrawn(Fact):
    """An owner is said to take an expert back, without its signature: in ledgers of version 1 only.

    Attributes:
        owner: Whose.
        expert: Digest of the package; empty for all that were accepted so far.
        statement: In the owner's words.
        number: Counts the owner's own statements; 0 where it made none of its own.
    """

    kind: ClassVar[str] = "consent-withdrawn"
    owner: str
    expert: str
    statement: str
    number: int = 0


@known_fact
@dataclass(frozen=True, kw_only=True)
class ExpertFlagged(Fact):
    """A silo measured that an expert does harm; releases leave it out unless the operator says otherwise.

    Attributes:
        owner: Whose expert.
        expert: Digest of the package.
        by: The owner on whose data it was measured.
        added: Nats a token that the mixture loses by having it.
    """

    kind: ClassVar[str] = "expert-flagged"
    owner: str
    expert: str
    by: str
    added: float


@known_fact
@dataclass(frozen=True, kw_only=True)
class Released(Fact):
    """A release was made.

    Attributes:
        number: Counts up from 1.
        digest: Of what it computes.
        guarantee: What a withdrawal leaves: ``exact``, or ``co-adapted: …``.
        members: Digests of its experts.
    """

    kind: ClassVar[str] = "released"
    number: int
    digest: str
    guarantee: str
    members: list[str]


@known_fact
@dataclass(frozen=True, kw_only=True)
class Called(Fact):
    """The operator called for work.

    Attributes:
        call: Content address of the call.
        work: ``train``, ``evaluate``, ``release`` or ``audit``.
        what: The call, as JSON.
        owners: Whom it is for; empty for everyone, those who come later too.
    """

    kind: ClassVar[str] = "called"
    call: str
    work: str
    what: str
    owners: list[str]


@known_fact
@dataclass(frozen=True, kw_only=True)
class CallFinished(Fact):
    """Nothing more is done about a call.

    Attributes:
        call: Which.
        result: What came of it; empty where it failed.
        failure: Why it failed; empty where it did not.
    """

    kind: ClassVar[str] = "call-finished"
    call: str
    result: str
    failure: str


@known_fact
@dataclass(frozen=True, kw_only=True)
class UnitIssued(Fact):
    """An owner was asked for work.

    Attributes:
        owner: Who.
        unit: Content address of the work unit.
        work: What kind of work.
        call: Content address of the call that it serves; empty for none.
    """

    kind: ClassVar[str] = "unit-issued"
    owner: str
    unit: str
    work: str
    call: str = ""


@known_fact
@dataclass(frozen=True, kw_only=True)
class UnitFinished(Fact):
    """It is done, or has failed for good.

    Attributes:
        owner: Who.
        unit: Content address of the work unit.
        result: Digest of what came of it; empty where it failed.
        failure: Why it failed; empty where it did not.
    """

    kind: ClassVar[str] = "unit-finished"
    owner: str
    unit: str
    result: str
    failure: str


@known_fact
@dataclass(frozen=True, kw_only=True)
class Transferred(Fact):
    """Bytes went between the coordinator and an owner.

    Attributes:
        owner: With whom.
        blob: Content address of what went.
        to_owner: Whether it went to the owner, not from it.
        size: Bytes.
    """

    kind: ClassVar[str] = "transferred"
    owner: str
    blob: str
    to_owner: bool
    size: int
