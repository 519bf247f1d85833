"""Consent: what an owner permits now, and when it permitted what."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from atoll.ledger.facts import ANY


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What an owner permits with an expert.

    Attributes:
        purposes: What for; none where it is withdrawn.
        until: The last day; ``None`` for no end.
        statement: In the owner's words.
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


@dataclass(frozen=True, slots=True)
class Period:
    """A time in which something holds.

    Attributes:
        begin: From this moment on.
        end: Up to this moment; ``None`` where no end is known.
    """

    begin: datetime
    end: datetime | None


@dataclass(slots=True)
class Consents:
    """All that an owner said of one expert: what it signed with it, and then in the ledger's order."""

    history: list[tuple[datetime, Standing]]

    @property
    def now(self) -> Standing:
        """What was said last."""
        return self.history[-1][1]

    def say(self, standing: Standing, at: datetime) -> None:
        """Add what an owner says."""
        self.history.append((at, standing))

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


def _last_moment(until: date | None) -> datetime | None:
    return None if until is None else datetime.combine(until + timedelta(days=1), time(), UTC)


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((moment for moment in (one, other) if moment is not None), default=None)
