"""An event: a fact, when it was written, and the digest of all that came before it."""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime

from atoll.errors import LedgerError
from atoll.ledger.fact import Fact, fact_from_json


@dataclass(frozen=True, slots=True)
class Head:
    """Where a history stands. Its digest stands for all of it: whoever keeps one can tell later if any was changed.

    Attributes:
        sequence: How many events there are.
        digest: Of the last one.
    """

    sequence: int
    digest: str


START = Head(0, f"sha256:{hashlib.sha256(b'atoll ledger 1').hexdigest()}")
"""Of a ledger in which nothing is written."""


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the ledger, as it is stored.

    Attributes:
        sequence: Counts up from 1. Order is this, never the clock.
        at: When the coordinator's clock said it was: ISO 8601, UTC.
        kind: Of the fact.
        body: The fact as JSON, the very text that the digest is of.
        previous: Digest of the event before.
        digest: Of all the above.
    """

    sequence: int
    at: str
    kind: str
    body: str
    previous: str
    digest: str

    @classmethod
    def after(cls, head: Head, fact: Fact, at: datetime) -> "Event":
        """The next event."""
        stamp = at.astimezone(UTC).isoformat(timespec="microseconds")
        content = (head.sequence + 1, stamp, fact.kind, fact.to_json(), head.digest)
        return cls(*content, _digest(*content))

    @property
    def head(self) -> Head:
        """Where the history stands after it."""
        return Head(self.sequence, self.digest)

    @property
    def time(self) -> datetime:
        """``at``, with its zone.

        Raises:
            LedgerError: it is no moment with a zone.
        """
        try:
            found = datetime.fromisoformat(self.at)
        except ValueError as error:
            raise LedgerError(f"ledger: event {self.sequence} is dated '{self.at[:40]}', which is no date") from error
        if found.tzinfo is None:
            raise LedgerError(f"ledger: event {self.sequence} is dated '{self.at[:40]}', without a time zone")
        return found

    def fact(self) -> Fact:
        """What it says.

        Raises:
            LedgerError: nothing that this version of Atoll knows.
        """
        return fact_from_json(self.kind, self.body)

    def check_follows(self, head: Head) -> None:
        """That it is the next one, unchanged since it was written.

        Raises:
            LedgerError: it is not; the message says which event, and how.
        """
        if self.sequence != head.sequence + 1:
            raise LedgerError(f"ledger: event {head.sequence + 1} is missing: event {self.sequence} comes next")
        if self.previous != head.digest:
            raise LedgerError(f"ledger: event {self.sequence} does not follow what is written before it")
        if self.digest != _digest(self.sequence, self.at, self.kind, self.body, self.previous):
            raise LedgerError(f"ledger: event {self.sequence} ({self.kind}) was changed after it was written")


def _digest(sequence: int, at: str, kind: str, body: str, previous: str) -> str:
    raw = json.dumps([sequence, at, kind, body, previous], separators=(",", ":"), ensure_ascii=False)
    return f"sha256:{hashlib.sha256(b'atoll ledger event 1' + raw.encode()).hexdigest()}"
