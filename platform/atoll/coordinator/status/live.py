"""What a running server knows and the ledger does not: who answers, how far work is, what failed just now."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_KEPT = 50
"""Failures that are kept; the count goes on."""
_FRESH = timedelta(seconds=60)
"""A loop that went round this lately goes round."""
_LONGEST = 500
"""Characters of what a node says that are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Underway:
    """How far a unit of work is.

    Attributes:
        since: When the server first heard of it.
        done: Steps done.
        total: Steps in all; 0 where that is not known.
        note: In the node's words.
    """

    since: datetime
    done: int
    total: int
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Something that went wrong.

    Attributes:
        owner: At whom, or with whom; empty where it is nobody's.
        what: What was tried.
        reason: Why it failed.
        at: When.
    """

    owner: str
    what: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A copy of a :class:`Live` at one moment.

    Attributes:
        started: When the server started.
        seen: When each owner's node answered last.
        work: What is under way, by (owner, unit).
        failures: The last ones, oldest first.
        failed: How many there were since the start.
        received: Bytes from each owner since the start.
        sent: Bytes to each owner since the start.
        barred: Why an owner's node is given no work, by owner.
        beat: When the server's loop last went round, with its engine answering; ``None`` for not yet.
        restarts: How often the engine had to be started again.
        trouble: Why it was, the last time; empty once the loop goes round again.
    """

    started: datetime
    seen: dict[str, datetime]
    work: dict[tuple[str, str], Underway]
    failures: list[Failure]
    failed: int
    received: dict[str, int]
    sent: dict[str, int]
    barred: dict[str, str]
    beat: datetime | None = None
    restarts: int = 0
    trouble: str = ""

    def unready(self, now: datetime) -> str:
        """Why nodes cannot connect or no work is done; empty where they can and it is."""
        if self.beat is not None and now - self.beat <= _FRESH and not self.trouble:
            return ""
        return self.trouble or ("the engine is starting" if self.beat is None else "the server's loop stands still")


def _now() -> datetime:
    return datetime.now(UTC)


class Live:
    """A register that the server's loop writes and the status reads; any thread may do either."""

    def __init__(self, clock: Callable[[], datetime] = _now) -> None:
        """Started now, by this clock, which gives times with their zone."""
        self._clock = clock
        self._lock = threading.Lock()
        self._started = clock()
        self._seen: dict[str, datetime] = {}
        self._work: dict[tuple[str, str], Underway] = {}
        self._failures: deque[Failure] = deque(maxlen=_KEPT)
        self._failed = 0
        self._received: dict[str, int] = {}
        self._sent: dict[str, int] = {}
        self._barred: dict[str, str] = {}
        self._beat: datetime | None = None
        self._restarts = 0
        self._trouble = ""

    def seen(self, owner: str, at: datetime | None = None) -> None:
        """An owner's node answered; now, if not said when."""
        when = at or self._clock()
        with self._lock:
            self._seen[owner] = max(when, self._seen.get(owner, when))

    def progress(self, owner: str, unit: str, done: int, total: int, note: str) -> None:
        """A unit of work is this far; one that was not heard of before is under way from now on."""
        with self._lock:
            known = self._work.get((owner, unit))
            since = self._clock() if known is None else known.since
            self._work[owner, unit] = Underway(since=since, done=done, total=total, note=note[:_LONGEST])

    def finished(self, owner: str, unit: str) -> None:
        """A unit of work is under way no longer, whatever came of it."""
        with self._lock:
            self._work.pop((owner, unit), None)

    def failed(self, owner: str, what: str, reason: str, at: datetime | None = None) -> None:
        """Something went wrong; now, if not said when."""
        failure = Failure(owner=owner, what=what[:_LONGEST], reason=reason[:_LONGEST], at=at or self._clock())
        with self._lock:
            self._failures.append(failure)
            self._failed += 1

    def beat(self) -> None:
        """The server's loop goes round, and its engine answers."""
        with self._lock:
            self._beat, self._trouble = self._clock(), ""

    def stopped(self, why: str) -> None:
        """The engine ended, and is started again."""
        with self._lock:
            self._restarts += 1
            self._trouble = why[:_LONGEST]

    def barred(self, owner: str, why: str) -> bool:
        """An owner's node is given no work, and why; empty where it is again. Returns whether that is news."""
        with self._lock:
            known = self._barred.get(owner, "")
            self._barred[owner] = why[:_LONGEST]
            return known != self._barred[owner]

    def received(self, owner: str, size: int) -> None:
        """Bytes came from an owner."""
        with self._lock:
            self._received[owner] = self._received.get(owner, 0) + size

    def sent(self, owner: str, size: int) -> None:
        """Bytes went to an owner."""
        with self._lock:
            self._sent[owner] = self._sent.get(owner, 0) + size

    def view(self) -> View:
        """All of it as it is now, which later writes do not change."""
        with self._lock:
            return View(
                started=self._started,
                seen=dict(self._seen),
                work=dict(self._work),
                failures=list(self._failures),
                failed=self._failed,
                received=dict(self._received),
                sent=dict(self._sent),
                beat=self._beat,
                restarts=self._restarts,
                trouble=self._trouble,
                barred={owner: why for owner, why in self._barred.items() if why},
            )
