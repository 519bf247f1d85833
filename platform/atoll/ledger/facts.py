"""What a ledger holds: facts, each a value with a strict JSON form."""

import dataclasses
import json
from dataclasses import dataclass
from typing import ClassVar

from atoll.config.decode import decode_json
from atoll.errors import DataError, LedgerError

ANY = "any"
"""The purpose that stands for all."""


@dataclass(frozen=True, kw_only=True)
class Fact:
    """Base of all facts; ``kind`` names each in the ledger, and never changes its meaning."""

    kind: ClassVar[str]

    def to_json(self) -> str:
        """Sorted and compact, so that equal facts are equal text."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True, kw_only=True)
class OwnerAdmitted(Fact):
    """An institution may take part.

    Attributes:
        owner: Its short name.
        domain: What its data is about.
        public_key: Hex of the Ed25519 key that it signs with.
        node_key: PEM of the key by which its node is known to the engine; empty for an owner without a node, who hands
            its packages over as files.
    """

    kind: ClassVar[str] = "owner-admitted"
    owner: str
    domain: str
    public_key: str
    node_key: str = ""


@dataclass(frozen=True, kw_only=True)
class OwnerRevoked(Fact):
    """An institution may no longer take part. Consent to what it gave before is a matter of its own."""

    kind: ClassVar[str] = "owner-revoked"
    owner: str
    reason: str


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


@dataclass(frozen=True, kw_only=True)
class ExpertAccepted(Terms):
    """An expert passed every check; it brings the consent that its owner signed with it.

    Attributes:
        blob: Content address of its bytes.
        anchor: Digest of the anchor it is for.
    """

    kind: ClassVar[str] = "expert-accepted"
    blob: str
    anchor: str


@dataclass(frozen=True, kw_only=True)
class ConsentGiven(Terms):
    """An owner changes what it permits: from now on just this.

    Attributes:
        number: Counts the owner's own statements; 0 where it made none of its own.
    """

    kind: ClassVar[str] = "consent-given"
    number: int = 0


@dataclass(frozen=True, kw_only=True)
class ConsentWithdrawn(Fact):
    """An owner takes an expert back.

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


KINDS: dict[str, type[Fact]] = {
    fact.kind: fact
    for fact in (
        OwnerAdmitted,
        OwnerRevoked,
        ExpertAccepted,
        ConsentGiven,
        ConsentWithdrawn,
        ExpertFlagged,
        Released,
        Called,
        CallFinished,
        UnitIssued,
        UnitFinished,
        Transferred,
    )
}


def fact_from_json(kind: str, text: str) -> Fact:
    """Read :meth:`Fact.to_json`.

    Raises:
        LedgerError: an unknown kind, or not a fact of this kind.
    """
    if kind not in KINDS:
        raise LedgerError(f"there is no fact '{kind}' in this version of Atoll: it knows {', '.join(KINDS)}")
    try:
        fact = decode_json(text, KINDS[kind], kind)
    except DataError as error:
        raise LedgerError(f"what is written is no {kind}: {error}") from error
    assert isinstance(fact, Fact)
    return fact
