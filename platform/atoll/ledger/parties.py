"""Who takes part, and which of its statements were heard."""

from dataclasses import dataclass, field
from datetime import datetime

from atoll.experts.statements import Statement
from atoll.ledger.consent import Consents
from atoll.ledger.facts import ExpertAccepted, OwnerAdmitted


@dataclass(slots=True)
class Voice:
    """An owner's statements under one chain of keys: each key of it was signed by the one before.

    Attributes:
        heard: Statements by number.
        left: Number of the last one that withdrew everything; 0 for none.
        back: Number of the last one that permitted something; 0 for none.
        closed: Unless it has permitted something by a later statement than this one, no new expert is taken from the
            owner, whatever its statements say: an operator's limit, or what it said under an earlier key; ``None`` for
            no such limit.
    """

    heard: dict[int, Statement] = field(default_factory=dict)
    left: int = 0
    back: int = 0
    closed: int | None = None

    @property
    def last(self) -> int:
        """Number of the last one that was heard."""
        return max(self.heard, default=0)

    @property
    def missing(self) -> list[int]:
        """Numbers below the last one that were not heard."""
        return [number for number in range(1, self.last) if number not in self.heard] if self.heard else []

    @property
    def out(self) -> bool:
        """Whether nothing new is taken from it."""
        return self.left > self.back or (self.closed is not None and self.back <= self.closed)

    def close(self) -> None:
        """Take nothing new from it until it permits something by a later statement than those that were heard."""
        self.closed = max(self.last, self.closed or 0)

    def hear(self, statement: Statement) -> None:
        """Take one in."""
        self.heard[statement.number] = statement
        if statement.purposes:
            self.back = max(self.back, statement.number)
        elif not statement.expert:
            self.left = max(self.left, statement.number)


@dataclass(slots=True)
class Owner:
    """An institution.

    Attributes:
        admitted: What was written when it was admitted last.
        since: When that was.
        lineage: The first key, in hex, of the chain that its present key belongs to.
        voice: What it said under that chain.
        revoked: Why it may no longer take part; empty while it may.
        unsigned: Number of the last statement that a ledger of version 1 holds without its signature.
    """

    admitted: OwnerAdmitted
    since: datetime
    lineage: str
    voice: Voice
    revoked: str = ""
    unsigned: int = 0

    @property
    def statements(self) -> int:
        """Up to which number its statements were heard, none missing."""
        return self.voice.missing[0] - 1 if self.voice.missing else self.voice.last


@dataclass(slots=True)
class Expert:
    """An accepted expert, all that its owner said of it, and what silos measured of it.

    Attributes:
        lineage: Of its owner when it was accepted.
        flagged: Nats a token that it costs, by the owner on whose data it does harm.
    """

    accepted: ExpertAccepted
    since: datetime
    consents: Consents
    lineage: str = ""
    flagged: dict[str, float] = field(default_factory=dict)
