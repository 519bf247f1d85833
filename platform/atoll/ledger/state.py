"""What follows from the events: who takes part, whose experts may be used, and which releases hold them."""

from dataclasses import dataclass, field
from datetime import datetime

from atoll.errors import LedgerError
from atoll.ledger.consent import Period
from atoll.ledger.copies import Copies
from atoll.ledger.event import START, Event, Head
from atoll.ledger.fact import Fact
from atoll.ledger.facts import Called, CallFinished, Released, UnitFinished, UnitIssued
from atoll.ledger.fold import rules
from atoll.ledger.operator_facts import OperatorActed, OperatorAdded
from atoll.ledger.parties import Expert, Owner, Voice

__all__ = ["Call", "Expert", "Owner", "ReleaseMade", "State", "Voice"]


@dataclass(slots=True)
class Call:
    """A call for work.

    Attributes:
        called: What was called.
        since: When.
        units: Work units of it, by owner.
        finished: What came of it, once nothing more is done.
    """

    called: Called
    since: datetime
    units: dict[str, str] = field(default_factory=dict)
    finished: CallFinished | None = None


@dataclass(frozen=True, slots=True)
class ReleaseMade:
    """A release, with when it was made."""

    released: Released
    since: datetime


class State:
    """The present, folded from the past.

    Attributes:
        head: The last event that is in it.
        time: When that was.
        version: Of the form that the ledger keeps to since some event; 1 before that.
        owners: By name.
        experts: By digest.
        releases: By number, counting up.
        calls: By content address, in order.
        barred: Keys of nodes that were revoked; they come back with another one.
        barred_keys: Keys of owners that were revoked, in hex, with those that they took over from.
        proofs: Documents that say whose a key is, in order.
        open: Work asked for and not finished, by (owner, unit).
        done: Finished work by (owner, unit).
        bytes_from: Bytes received by owner.
        bytes_to: Bytes sent by owner.
        voices: What owners said, by (owner, lineage of keys).
        lineages: The first key of the chain that a key belongs to, by (owner, key); a rotation adds to it.
        awaited: Owners who were not heard since the ledger was restored from an older one.
        restored: Sequence numbers and times of restorations.
        doubted: Why this may not be the whole history; empty where nothing is known against it.
        lost: Heads of lost histories, which are known and done with.
        set_aside: Names of folders of releases of a lost history.
        copies: Where copies of experts are, and which were erased.
        operators: Who may act, by name; with none, whoever can write to the folder.
        acts: What operators did last about each act, by its name.
        acted: All that operators did, with when, in order.
    """

    def __init__(self) -> None:
        """Nothing has happened."""
        self.head: Head = START
        self.time: datetime | None = None
        self.version = 1
        self.owners: dict[str, Owner] = {}
        self.experts: dict[str, Expert] = {}
        self.releases: dict[int, ReleaseMade] = {}
        self.calls: dict[str, Call] = {}
        self.operators: dict[str, OperatorAdded] = {}
        self.acts: dict[str, OperatorActed] = {}
        self.acted: list[tuple[datetime, OperatorActed]] = []
        self.barred: set[str] = set()
        self.barred_keys: set[str] = set()
        self.proofs: dict[str, None] = {}
        self.open: dict[tuple[str, str], UnitIssued] = {}
        self.done: dict[tuple[str, str], UnitFinished] = {}
        self.bytes_from: dict[str, int] = {}
        self.bytes_to: dict[str, int] = {}
        self.voices: dict[tuple[str, str], Voice] = {}
        self.lineages: dict[tuple[str, str], str] = {}
        self.awaited: set[str] = set()
        self.restored: list[tuple[int, datetime]] = []
        self.doubted = ""
        self.lost: set[str] = set()
        self.set_aside: set[str] = set()
        self.copies = Copies()

    def follow(self, event: Event) -> None:
        """Take the next event in.

        Raises:
            LedgerError: it does not follow, was changed, or says what cannot be.
        """
        event.check_follows(self.head)
        fact = event.fact()
        try:
            rules.check_time(fact, self, event.time)
            news = self.is_news(fact, event.time)
        except LedgerError as error:
            raise LedgerError(f"ledger: event {event.sequence} ({event.kind}) cannot be: {error}") from error
        if not news:
            raise LedgerError(f"ledger: event {event.sequence} ({event.kind}) says again what is written before it")
        rules.apply(fact, self, event.time)
        self.head, self.time = event.head, event.time

    def usable(self, purpose: str, at: datetime) -> list[str]:
        """Digests of the experts that may be used for something now, in order of acceptance."""
        return [digest for digest, expert in self.experts.items() if expert.consents.now.permits(purpose, at)]

    def periods(self, owner: str) -> dict[int, list[Period]]:
        """Which releases hold an expert of this owner, and when it might be used in each, by release number.

        Raises:
            LedgerError: there is no such owner.
        """
        self.owner(owner)
        found: dict[int, list[Period]] = {}
        for number, release in self.releases.items():
            members = [self.experts[digest] for digest in release.released.members]
            mine = [expert for expert in members if expert.accepted.owner == owner]
            if mine:
                found[number] = [period for expert in mine for period in expert.consents.periods(release.since)]
        return found

    def is_news(self, fact: Fact, at: datetime) -> bool:
        """Whether a fact adds anything: one that is in the ledger already need not be written twice.

        Raises:
            LedgerError: it contradicts what is in the ledger, or says in an owner's name what the owner did not sign.
        """
        return rules.is_news(fact, self, at)

    def owner(self, name: str) -> Owner:
        """An owner.

        Raises:
            LedgerError: it was never admitted.
        """
        if name not in self.owners:
            raise LedgerError(f"'{name}' was never admitted; there are {', '.join(sorted(self.owners)) or 'no owners'}")
        return self.owners[name]

    def expert(self, owner: str, digest: str) -> Expert:
        """An owner's expert.

        Raises:
            LedgerError: it has no such expert.
        """
        self.owner(owner)
        expert = self.experts.get(digest)
        if expert is None or expert.accepted.owner != owner:
            raise LedgerError(f"'{owner}' has no expert {digest}; only an owner decides about its own")
        return expert

    def signer(self, name: str, public_key: str) -> Owner:
        """The owner who signs with a key.

        Args:
            name: Of the owner.
            public_key: Hex of the key that a document names.

        Raises:
            LedgerError: it was never admitted, or is admitted with another key now.
        """
        owner = self.owner(name)
        if owner.admitted.public_key != public_key:
            raise LedgerError(f"the document is not signed by the key that '{name}' is admitted with")
        return owner

    def operators_in_force(self, role: str, at: datetime) -> list[OperatorAdded]:
        """Operators who have a role, and whose tokens are taken at a moment."""
        day = at.date().isoformat()
        return [each for each in self.operators.values() if role in each.roles and day <= each.until]

    def knows_lost(self, sequence: int, digest: str, at: datetime | None) -> bool:
        """Whether a head that is not in this history is of one that was lost, and that a restoration was told of.

        Args:
            sequence: Of the head.
            digest: Of the head.
            at: When it was signed; ``None`` where that is not known.
        """
        if f"{sequence}:{digest}" in self.lost:
            return True
        return at is not None and any(sequence >= number and at <= when for number, when in self.restored)

    def expect_confirmed(self) -> None:
        """Raise LedgerError while it is doubted, or there are owners who were not heard since it was restored."""
        if self.doubted:
            raise LedgerError(
                f"the ledger was rolled back or rewritten: {self.doubted}; nothing is done until its operator puts the "
                "newer one back, or goes on from this one, knowingly: atoll coordinator restore FOLDER --reason TEXT"
            )
        if self.awaited:
            raise LedgerError(
                f"the ledger was restored from an older one, and {', '.join(sorted(self.awaited))} may have withdrawn "
                "since: nothing is released or answered until their nodes have connected, or the operator vouches for "
                "them: atoll coordinator confirm FOLDER OWNER --reason TEXT"
            )
