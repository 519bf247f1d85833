"""What follows from the events: who takes part, whose experts may be used, and which releases hold them."""

from dataclasses import dataclass, field
from datetime import date, datetime
from functools import singledispatchmethod

from atoll.errors import LedgerError
from atoll.ledger.consent import Consents, Period, Standing
from atoll.ledger.event import START, Event, Head
from atoll.ledger.facts import (
    Called,
    CallFinished,
    ConsentGiven,
    ConsentWithdrawn,
    ExpertAccepted,
    ExpertFlagged,
    Fact,
    OwnerAdmitted,
    OwnerRevoked,
    Released,
    Terms,
    Transferred,
    UnitFinished,
    UnitIssued,
)


@dataclass(slots=True)
class Owner:
    """An institution.

    Attributes:
        admitted: What was written when it was admitted last.
        since: When that was.
        revoked: Why it may no longer take part; empty while it may.
        statements: Number of the last statement about consent that it made itself.
    """

    admitted: OwnerAdmitted
    since: datetime
    revoked: str = ""
    statements: int = 0


@dataclass(slots=True)
class Expert:
    """An accepted expert, all that its owner said of it, and what silos measured of it.

    Attributes:
        flagged: Nats a token that it costs, by the owner on whose data it does harm.
    """

    accepted: ExpertAccepted
    since: datetime
    consents: Consents
    flagged: dict[str, float] = field(default_factory=dict)


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
        owners: By name.
        experts: By digest.
        releases: By number, counting up.
        calls: By content address, in order.
        barred: Keys of nodes that were revoked; they come back with another one.
        open: Work asked for and not finished, by (owner, unit).
        done: Finished work by (owner, unit).
        bytes_from: Bytes received by owner.
        bytes_to: Bytes sent by owner.
    """

    def __init__(self) -> None:
        """Nothing has happened."""
        self.head: Head = START
        self.owners: dict[str, Owner] = {}
        self.experts: dict[str, Expert] = {}
        self.releases: dict[int, ReleaseMade] = {}
        self.calls: dict[str, Call] = {}
        self.barred: set[str] = set()
        self.open: dict[tuple[str, str], UnitIssued] = {}
        self.done: dict[tuple[str, str], UnitFinished] = {}
        self.bytes_from: dict[str, int] = {}
        self.bytes_to: dict[str, int] = {}

    def follow(self, event: Event) -> None:
        """Take the next event in.

        Raises:
            LedgerError: it does not follow, was changed, or says what cannot be.
        """
        event.check_follows(self.head)
        fact = event.fact()
        try:
            news = self.is_news(fact, event.time)
        except LedgerError as error:
            raise LedgerError(f"ledger: event {event.sequence} ({event.kind}) cannot be: {error}") from error
        if not news:
            raise LedgerError(f"ledger: event {event.sequence} ({event.kind}) says again what is written before it")
        self._take(fact, event.time)
        self.head = event.head

    def usable(self, purpose: str, at: datetime) -> list[str]:
        """Digests of the experts that may be used for something now, in order of acceptance."""
        return [digest for digest, expert in self.experts.items() if expert.consents.now.permits(purpose, at)]

    def periods(self, owner: str) -> dict[int, list[Period]]:
        """Which releases hold an expert of this owner, and when it might be used in each, by release number.

        Raises:
            LedgerError: there is no such owner.
        """
        self._owner(owner)
        found: dict[int, list[Period]] = {}
        for number, release in self.releases.items():
            members = [self.experts[digest] for digest in release.released.members]
            mine = [expert for expert in members if expert.accepted.owner == owner]
            if mine:
                found[number] = [period for expert in mine for period in expert.consents.periods(release.since)]
        return found

    @singledispatchmethod
    def is_news(self, fact: Fact, at: datetime) -> bool:
        """Whether a fact adds anything: one that is in the ledger already need not be written twice.

        Raises:
            LedgerError: it contradicts what is in the ledger.
        """
        raise NotImplementedError(fact.kind)

    @is_news.register
    def _(self, fact: OwnerAdmitted, at: datetime) -> bool:
        for name, known in self.owners.items():
            if name != fact.owner and known.admitted.public_key == fact.public_key:
                raise LedgerError(f"the key of '{fact.owner}' is '{name}'s; every owner makes one of its own")
        if fact.node_key in self.barred:
            raise LedgerError(
                f"the node key of '{fact.owner}' was revoked and is not taken again; "
                "the institution makes another one: atoll node enrol FOLDER --renew"
            )
        known_now = self.owners.get(fact.owner)
        if known_now is None or known_now.revoked:
            return True
        if known_now.admitted.public_key != fact.public_key:
            raise LedgerError(f"'{fact.owner}' is admitted with another key; revoke that first")
        return known_now.admitted != fact

    @is_news.register
    def _(self, fact: OwnerRevoked, at: datetime) -> bool:
        return not self._owner(fact.owner).revoked

    @is_news.register
    def _(self, fact: ExpertAccepted, at: datetime) -> bool:
        owner = self._owner(fact.owner)
        known = self.experts.get(fact.expert)
        if known is not None:
            if known.accepted != fact:
                raise LedgerError(f"expert {fact.expert[:19]} is '{known.accepted.owner}'s, accepted otherwise before")
            return False
        if owner.revoked:
            raise LedgerError(f"'{fact.owner}' is revoked ({owner.revoked}); nothing is accepted from it")
        _standing(fact)
        return True

    @is_news.register
    def _(self, fact: ConsentGiven, at: datetime) -> bool:
        if not fact.purposes:
            raise LedgerError("consent for no purpose at all is a withdrawal; write it as one")
        known = self._expert(fact.owner, fact.expert)
        if fact.number:
            return fact.number > self.owners[fact.owner].statements
        return known.consents.now != _standing(fact)

    @is_news.register
    def _(self, fact: ConsentWithdrawn, at: datetime) -> bool:
        meant = self._meant(fact)
        if fact.number:
            return fact.number > self.owners[fact.owner].statements
        return any(expert.consents.now.purposes for expert in meant)

    @is_news.register
    def _(self, fact: ExpertFlagged, at: datetime) -> bool:
        return self._expert(fact.owner, fact.expert).flagged.get(fact.by) != fact.added

    @is_news.register
    def _(self, fact: Called, at: datetime) -> bool:
        for owner in fact.owners:
            self._owner(owner)
        known = self.calls.get(fact.call)
        if known is not None and known.called != fact:
            raise LedgerError(f"call {fact.call} is another one already")
        return known is None

    @is_news.register
    def _(self, fact: CallFinished, at: datetime) -> bool:
        if fact.call not in self.calls:
            raise LedgerError(f"there was no call {fact.call}")
        known = self.calls[fact.call].finished
        if known is not None and known != fact:
            raise LedgerError(f"call {fact.call} is finished already, otherwise")
        return known is None

    @is_news.register
    def _(self, fact: Released, at: datetime) -> bool:
        known = self.releases.get(fact.number)
        if known is not None:
            if known.released != fact:
                raise LedgerError(f"release {fact.number} is another one already; releases do not change")
            return False
        last = max(self.releases, default=0)
        if fact.number <= last:
            raise LedgerError(f"release {fact.number} does not follow release {last}")
        for digest in fact.members:
            if digest not in self.experts:
                raise LedgerError(f"release {fact.number} holds an expert that was never accepted: {digest}")
            expert = self.experts[digest]
            if not expert.consents.now.permits_something(at):
                raise LedgerError(
                    f"release {fact.number} holds the expert {digest[:19]} of '{expert.accepted.owner}', "
                    "who does not permit any use of it now"
                )
        return True

    @is_news.register
    def _(self, fact: UnitIssued, at: datetime) -> bool:
        self._owner(fact.owner)
        place = (fact.owner, fact.unit)
        if fact.call in self.calls and fact.owner not in self.calls[fact.call].units:
            return True  # it serves this call too; what failed for another one is tried again
        return place not in self.open and place not in self.done

    @is_news.register
    def _(self, fact: UnitFinished, at: datetime) -> bool:
        known = self.done.get((fact.owner, fact.unit))
        if known is not None:
            if known != fact:
                raise LedgerError(f"unit {fact.unit} of '{fact.owner}' is finished already, otherwise")
            return False
        if (fact.owner, fact.unit) not in self.open:
            raise LedgerError(f"'{fact.owner}' was never asked for unit {fact.unit}")
        return True

    @is_news.register
    def _(self, fact: Transferred, at: datetime) -> bool:
        self._owner(fact.owner)
        return True

    @singledispatchmethod
    def _take(self, fact: Fact, at: datetime) -> None:
        raise NotImplementedError(fact.kind)

    @_take.register
    def _(self, fact: OwnerAdmitted, at: datetime) -> None:
        known = self.owners.get(fact.owner)
        # With another key, an owner begins to count its statements anew.
        same = known is not None and known.admitted.public_key == fact.public_key
        self.owners[fact.owner] = Owner(fact, at, statements=known.statements if known and same else 0)

    @_take.register
    def _(self, fact: OwnerRevoked, at: datetime) -> None:
        known = self.owners[fact.owner]
        known.revoked = fact.reason
        if known.admitted.node_key:
            self.barred.add(known.admitted.node_key)

    @_take.register
    def _(self, fact: ExpertAccepted, at: datetime) -> None:
        self.experts[fact.expert] = Expert(fact, at, Consents([(at, _standing(fact))]))

    @_take.register
    def _(self, fact: ConsentGiven, at: datetime) -> None:
        self.experts[fact.expert].consents.say(_standing(fact), at)
        self._heard(fact.owner, fact.number)

    @_take.register
    def _(self, fact: ConsentWithdrawn, at: datetime) -> None:
        for expert in self._meant(fact):
            expert.consents.say(Standing(purposes=(), until=None, statement=fact.statement), at)
        self._heard(fact.owner, fact.number)

    @_take.register
    def _(self, fact: ExpertFlagged, at: datetime) -> None:
        self.experts[fact.expert].flagged[fact.by] = fact.added

    @_take.register
    def _(self, fact: Called, at: datetime) -> None:
        self.calls[fact.call] = Call(fact, at)

    @_take.register
    def _(self, fact: CallFinished, at: datetime) -> None:
        self.calls[fact.call].finished = fact

    @_take.register
    def _(self, fact: Released, at: datetime) -> None:
        self.releases[fact.number] = ReleaseMade(fact, at)

    @_take.register
    def _(self, fact: UnitIssued, at: datetime) -> None:
        known = self.done.get((fact.owner, fact.unit))
        if known is None or known.failure:
            self.done.pop((fact.owner, fact.unit), None)
            self.open[fact.owner, fact.unit] = fact
        if fact.call in self.calls:
            self.calls[fact.call].units[fact.owner] = fact.unit

    @_take.register
    def _(self, fact: UnitFinished, at: datetime) -> None:
        del self.open[fact.owner, fact.unit]
        self.done[fact.owner, fact.unit] = fact

    @_take.register
    def _(self, fact: Transferred, at: datetime) -> None:
        counted = self.bytes_to if fact.to_owner else self.bytes_from
        counted[fact.owner] = counted.get(fact.owner, 0) + fact.size

    def _heard(self, owner: str, number: int) -> None:
        known = self.owners[owner]
        known.statements = max(known.statements, number)

    def _owner(self, name: str) -> Owner:
        if name not in self.owners:
            raise LedgerError(f"'{name}' was never admitted; there are {', '.join(sorted(self.owners)) or 'no owners'}")
        return self.owners[name]

    def _expert(self, owner: str, digest: str) -> Expert:
        self._owner(owner)
        expert = self.experts.get(digest)
        if expert is None or expert.accepted.owner != owner:
            raise LedgerError(f"'{owner}' has no expert {digest}; only an owner decides about its own")
        return expert

    def _meant(self, fact: ConsentWithdrawn) -> list[Expert]:
        if fact.expert:
            return [self._expert(fact.owner, fact.expert)]
        self._owner(fact.owner)
        return [expert for expert in self.experts.values() if expert.accepted.owner == fact.owner]


def _standing(fact: Terms) -> Standing:
    try:
        until = None if fact.until is None else date.fromisoformat(fact.until)
    except ValueError as error:
        raise LedgerError(f"consent until '{fact.until}': that is no date such as 2031-12-31") from error
    return Standing(purposes=tuple(sorted(fact.purposes)), until=until, statement=fact.statement)
