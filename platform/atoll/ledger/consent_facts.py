"""What is said of consent, since version 2: an owner's statements with their signatures, and an operator's limits."""

from dataclasses import dataclass
from typing import ClassVar

from atoll.experts.card import ExpertCard
from atoll.experts.manifest import SignedCard
from atoll.experts.statements import Enrolment, Statement
from atoll.ledger.fact import Fact, SignedFact, known_fact, read_document
from atoll.ledger.facts import ExpertAccepted, OwnerAdmitted

VERSION = 2
"""Of the form of ledgers that this code writes."""


@known_fact
@dataclass(frozen=True, kw_only=True)
class FormatMarked(Fact):
    """From here on the ledger keeps to a version's rules; since 2, nothing is said in an owner's name unsigned.

    Attributes:
        version: Of the form.
    """

    kind: ClassVar[str] = "format-marked"
    version: int = VERSION


@known_fact
@dataclass(frozen=True, kw_only=True)
class StatementHeard(SignedFact):
    """An owner's word on what it permits, as it signed it."""

    kind: ClassVar[str] = "statement-heard"

    def read(self) -> Statement:
        """The statement, its signature verified."""
        return read_document(self.document, Statement)


@known_fact
@dataclass(frozen=True, kw_only=True)
class UseRestricted(Fact):
    """The operator lets an owner's experts be used for less; it never adds to what the owner permits.

    It holds until the owner itself permits anew, by a later statement.

    Attributes:
        owner: Whose.
        expert: Digest of the package; empty for all that were accepted so far.
        purposes: What they may still be used for, of what the owner permits. None for nothing; without an expert's
            digest, no new one is taken from the owner then.
        until: ISO date, the last day; ``None`` for no end of its own.
        reason: The operator's, such as "letter of 3 May".
        by: The operator's name, where it has one.
    """

    kind: ClassVar[str] = "use-restricted"
    owner: str
    expert: str
    purposes: list[str]
    until: str | None
    reason: str
    by: str = ""


@known_fact
@dataclass(frozen=True, kw_only=True)
class LedgerRestored(Fact):
    """The operator goes on from a history that is older than one there was: a backup, or what was left.

    Until every owner was heard since (:class:`OwnerConfirmed`), nothing is released and nothing answers: a withdrawal
    may be among what was lost.

    Attributes:
        reason: Why.
        lost: Heads of the lost history that are known, ``number:digest``.
        set_aside: Names of releases' folders that were numbered above this history's last, and were renamed.
        by: The operator's name, where it has one.
    """

    kind: ClassVar[str] = "ledger-restored"
    reason: str
    lost: list[str]
    set_aside: list[str]
    by: str = ""


@known_fact
@dataclass(frozen=True, kw_only=True)
class HistoryDoubted(Fact):
    """Somebody holds a receipt of a history that this is not: nothing is done until the operator restores it.

    Attributes:
        head: The head of the other history, ``number:digest``.
        owner: Whose node holds the receipt.
    """

    kind: ClassVar[str] = "history-doubted"
    head: str
    owner: str


@known_fact
@dataclass(frozen=True, kw_only=True)
class OwnerConfirmed(Fact):
    """After a restoration, all that an owner had stated is known again.

    Attributes:
        owner: Who.
        reason: How it is known; empty where its own node told.
        by: The operator's name, where it has one.
    """

    kind: ClassVar[str] = "owner-confirmed"
    owner: str
    reason: str = ""
    by: str = ""


def admission(enrolment: Enrolment, until: str = "") -> OwnerAdmitted:
    """The fact that admits whoever signed an enrolment.

    Args:
        enrolment: What it signed.
        until: The last day on which new experts and permissions are taken under its key; empty for no end.
    """
    return OwnerAdmitted(
        owner=enrolment.owner,
        domain=enrolment.domain,
        public_key=enrolment.public_key,
        node_key=enrolment.node_key,
        enrolment=enrolment.to_line(),
        until=until,
    )


def acceptance(card: ExpertCard, signed: SignedCard, blob: str) -> ExpertAccepted:
    """The fact that accepts a verified package, with all that proves its owner's consent.

    Args:
        card: Of the package.
        signed: The same, as its owner signed it.
        blob: Content address of the package's bytes.
    """
    return ExpertAccepted(
        owner=card.owner,
        expert=signed.digest,
        purposes=list(card.consent.purposes),
        until=card.consent.until,
        statement=card.consent.statement,
        blob=blob,
        anchor=card.anchor,
        card=signed.card,
        manifest=signed.manifest,
        signature=signed.signature,
    )
