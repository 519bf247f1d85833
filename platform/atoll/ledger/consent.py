"""Consent: what an owner permits now, and when it permitted what."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from atoll.ledger.facts import ANY


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is permitted with an expert.

    Attributes:
        purposes: What for; none where it is withdrawn.
        until: The last day; ``None`` for no end.
        statement: In the owner's words, or the operator's where it restricts.
    """

    purposes: tuple[str, ...]
    until: date | None
    statement: str

    @property
    def state(self) -> str:
        """``given``, ``restricted`` or ``withdrawn``."""
        if not self.purposes:
            return "withdrawn"
        return "given" if ANY in self.purposes and self.until is None else "restricted"

    def permits(self, purpose: str, at: datetime) -> bool:
        """Whether the expert may be used for this, at this moment; the last day is a day in UTC."""
        if self.until is not None and at.astimezone(UTC).date() > self.until:
            return False
        return ANY in self.purposes or purpose in self.purposes

    def permits_something(self, at: datetime) -> bool:
        """Whether there is any use that the expert may be put to, at this moment."""
        return any(self.permits(purpose, at) for purpose in self.purposes)

    def limited(self, limit: "Standing") -> "Standing":
        """What both permit, with the limit's words."""
        mine, its = set(self.purposes), set(limit.purposes)
        both = its if ANY in mine else mine if ANY in its else mine & its
        ends = [each for each in (self.until, limit.until) if each is not None]
        return Standing(purposes=tuple(sorted(both)), until=min(ends, default=None), statement=limit.statement)


WITHDRAWN = Standing(purposes=(), until=None, statement="")
"""No use is permitted."""


@dataclass(frozen=True, slots=True)
class Period:
    """A time in which something holds.

    Attributes:
        begin: From this moment on.
        end: Up to this moment; ``None`` where no end is known.
    """

    begin: datetime
    end: datetime | None


@dataclass(frozen=True, slots=True)
class Limit:
    """An operator's limit on the use of an expert.

    Attributes:
        standing: What it leaves.
        after: The owner's last statement then; one with a higher number lifts the limit.
    """

    standing: Standing
    after: int


@dataclass(slots=True)
class Consents:
    """What is permitted with one expert, now and before.

    Attributes:
        history: What was in force, and since when, in the ledger's order.
        own: What its owner said last, by the numbers of its statements.
        number: Of that statement; what it said earlier changes nothing any more.
        signed: Whether the ledger holds the owner's signature under that.
        limits: The operator's.
    """

    history: list[tuple[datetime, Standing]]
    own: Standing = WITHDRAWN
    number: int = 0
    signed: bool = True
    limits: list[Limit] = field(default_factory=list)

    def __post_init__(self) -> None:
        """The owner's first word is the first that was in force."""
        self.own = self.history[0][1]

    @property
    def now(self) -> Standing:
        """What is in force: the owner's word, and of that what the operator's limits leave."""
        return self.history[-1][1]

    def hear(self, standing: Standing, number: int, at: datetime, *, signed: bool) -> None:
        """Take the owner's word in; its statements count by their numbers, in whatever order they come."""
        if signed and number <= self.number:
            # Said before in a ledger of version 1, and now heard with its signature.
            self.signed = self.signed or (number == self.number and standing.purposes == self.own.purposes)
            return
        self.own, self.number, self.signed = standing, number, signed
        if standing.purposes:
            self.limits = [limit for limit in self.limits if limit.after >= number]
        self._settle(at)

    def limit(self, standing: Standing, after: int, at: datetime) -> None:
        """Take an operator's limit in: it can only take away."""
        self.limits.append(Limit(standing, after))
        self._settle(at)

    def limited(self, standing: Standing) -> Standing:
        """What would be in force under one more limit."""
        return self.now.limited(standing)

    def periods(self, since: datetime) -> list[Period]:
        """When any use was permitted, from a moment on."""
        found: list[Period] = []
        for place, (at, standing) in enumerate(self.history):
            following = self.history[place + 1][0] if place + 1 < len(self.history) else None
            begin, end = max(at, since), _earlier(following, _last_moment(standing.until))
            if not standing.purposes or (end is not None and end <= begin):
                continue
            if found and found[-1].end == begin:
                found[-1] = Period(found[-1].begin, end)
            else:
                found.append(Period(begin, end))
        return found

    def _settle(self, at: datetime) -> None:
        standing = self.own
        for limit in self.limits:
            standing = standing.limited(limit.standing)
        self.history.append((at, standing))


def _last_moment(until: date | None) -> datetime | None:
    return None if until is None else datetime.combine(until + timedelta(days=1), time(), UTC)


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((moment for moment in (one, other) if moment is not None), default=None)
