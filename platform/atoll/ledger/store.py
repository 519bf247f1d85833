"""The ledger in a database: SQLite by default, PostgreSQL by URL. Events are added, never changed."""

import dataclasses
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from sqlalchemy import URL, Connection, Engine, create_engine, event, insert, select
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, SQLAlchemyError

from atoll.errors import LedgerError
from atoll.experts.receipts import sign_receipt
from atoll.experts.signing import Signer
from atoll.ledger.consent_facts import VERSION, FormatMarked, LedgerRestored
from atoll.ledger.event import START, Event, Head
from atoll.ledger.fact import Fact
from atoll.ledger.fold.rules import SKEW
from atoll.ledger.head_file import head_file_of, note_head, read_head
from atoll.ledger.location import ledger_file, ledger_url
from atoll.ledger.migrate import migrate
from atoll.ledger.schema import events
from atoll.ledger.state import State

_WAIT = 30.0
"""Seconds that SQLite waits for another process's write."""


class Ledger:
    """An append-only history. Many processes may read it and write to it at once.

    What others wrote is taken in before every answer, so a withdrawal written by one process is known to all others
    the next time they ask.
    """

    def __init__(self, engine: Engine, head_file: Path | None = None, signer: Signer | None = None) -> None:
        """Over an engine whose tables are there; see :meth:`open`."""
        self._engine = engine
        self.head_file, self._signer = head_file, signer
        self._state = State()
        self._lock = threading.RLock()

    @classmethod
    def open(
        cls,
        where: str | Path,
        *,
        create: bool = True,
        head_file: Path | None = None,
        signer: Signer | None = None,
        any_head: bool = False,
    ) -> Self:
        """The ledger at a place, brought to this version's tables.

        Args:
            where: A file, for SQLite; or a database URL such as ``postgresql+psycopg://atoll@db/atoll``.
            create: Make one where there is none.
            head_file: Where its head is noted; beside it, for a file. A ledger that does not hold that head was
                rolled back or rewritten.
            signer: The coordinator's key, which signs the head after every write; without one, none is noted.
            any_head: Do not compare the two: to find out what happened.

        Raises:
            LedgerError: no such file, not a ledger, a database that does not answer, a driver that is missing, or a
                ledger without the head that was noted.
        """
        database = ledger_url(where)
        try:
            file = ledger_file(database)
            if file is not None and not create and not file.exists():
                raise LedgerError(f"{file}: there is no such ledger")
            if file is not None and not file.parent.exists():
                raise LedgerError(f"{file}: the folder {file.parent} does not exist")
            engine = _engine(database, file is not None)
            migrate(engine)
        except (ArgumentError, NoSuchModuleError) as error:
            raise LedgerError(f"'{where}' is neither a file nor a database URL that can be used: {error}") from error
        except ImportError as error:
            raise LedgerError(
                f"'{database.render_as_string()}' needs a driver that is not installed: {error}; "
                "for PostgreSQL: pip install 'atoll[postgres]'"
            ) from error
        except SQLAlchemyError as error:
            raise LedgerError(
                f"{database.render_as_string()}: cannot be opened as a ledger: {_short(error)}"
            ) from error
        made = cls(engine, head_file or (head_file_of(file) if file is not None else None), signer)
        if not any_head:
            made.check_head()
        return made

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def record(self, fact: Fact, at: datetime | None = None) -> Event | None:
        """Write a fact, durably, unless the ledger says so already.

        Args:
            fact: What is so.
            at: Since when, by the writer's clock; now, if not given.

        Returns:
            The event, or ``None`` where there was nothing to write.

        Raises:
            LedgerError: it contradicts what is written, or the database does not take it.
        """
        return next(iter(self.record_all([fact], at)), None)

    def mark(self) -> None:
        """Let the rules of this version hold from now on, where a ledger of an earlier one has not been written to."""
        self.record(FormatMarked())
        self._note_head()

    def record_all(self, facts: Sequence[Fact], at: datetime | None = None) -> list[Event]:
        """Write facts that belong together: all of those that are news, or none.

        Args:
            facts: What is so, in an order in which it can be.
            at: Since when, by the writer's clock; now, if not given.

        Returns:
            The events that were written.

        Raises:
            LedgerError: one contradicts what is written, or the database does not take them; then nothing is written.
        """
        with self._lock:
            while True:
                before = self._state.head
                made: list[Event] = []
                try:
                    with self._transaction(write=True) as connection:
                        self._catch_up(connection)
                        when = self._dated(at or datetime.now(UTC), facts)
                        marks = self._marks(facts, when)
                        for fact in [*marks, *facts]:
                            if self._state.is_news(fact, when):
                                made.append(Event.after(self._state.head, fact, when))
                                connection.execute(insert(events).values(dataclasses.asdict(made[-1])))
                                self._state.follow(made[-1])
                    self._note_head()
                    return made[len(marks) :]
                except IntegrityError as error:
                    self._state = State()
                    if self.state().head.sequence <= before.sequence:
                        raise LedgerError(f"ledger: the event is not taken: {_short(error)}") from error
                    # Another process wrote this number first: look again at what is so now.
                except BaseException:
                    if made:
                        self._state = State()  # it is ahead of what was written
                    raise

    def append_events(self, history: Sequence[Event]) -> None:
        """Write events as they were written elsewhere: a history that is restored.

        Raises:
            LedgerError: they do not follow what is written; then nothing is written.
        """
        with self._lock, self._transaction(write=True) as connection:
            self._catch_up(connection)
            try:
                for each in history:
                    self._state.follow(each)
                    connection.execute(insert(events).values(dataclasses.asdict(each)))
            except BaseException:
                self._state = State()
                raise

    def state(self) -> State:
        """The present, with everything that any process has written. Not to be changed, or kept.

        Raises:
            LedgerError: what was written since the last look is not as it was written.
        """
        with self._lock, self._transaction() as connection:
            self._catch_up(connection)
            return self._state

    def events(self, after: int = 0) -> Iterator[Event]:
        """Events in order, as they are stored, unchecked."""
        with self._transaction() as connection:
            yield from _read(connection, after)

    def verify(self, head: Head | None = None) -> Head:
        """Prove the whole history anew: every link, every digest, and that no event contradicts those before it.

        Args:
            head: One that was noted earlier; it must be part of the history, so nothing up to it was cut or rewritten.

        Returns:
            Where the history stands.

        Raises:
            LedgerError: which event is not as it was written.
        """
        state = State()
        met = head is None or head == START
        latest = datetime.now(UTC) + SKEW
        for each in self.events():
            state.follow(each)
            _expect_past(each, latest)
            met = met or each.head == head
        if not met:
            assert head is not None
            raise LedgerError(
                f"ledger: event {head.sequence} with digest {head.digest} is not in this history, which has "
                f"{state.head.sequence} events: it was cut or rewritten since that was noted"
            )
        return state.head

    def digest_at(self, sequence: int) -> str | None:
        """Digest of an event, as it is stored; ``None`` where there is no such event."""
        if sequence == START.sequence:
            return START.digest
        with self._transaction() as connection:
            query = select(events.c.digest).where(events.c.sequence == sequence)
            return connection.execute(query).scalar()

    def holds(self, sequence: int, digest: str) -> bool:
        """Whether a head that was noted is part of this history."""
        return self.digest_at(sequence) == digest

    def check_head(self) -> None:
        """Compare the history with the head that was noted beside it.

        Raises:
            LedgerError: it does not hold that head: it is older, or was rewritten.
        """
        noted = None if self.head_file is None else read_head(self.head_file)
        if noted is not None and not self.holds(noted.sequence, noted.digest):
            raise LedgerError(
                f"ledger: event {noted.sequence}, which was there at {noted.at} ({self.head_file}), is not in this "
                "history, or is another one: the ledger was rolled back or rewritten. Put the newer one back; or go on "
                "from this one, knowingly: atoll coordinator restore FOLDER --reason TEXT"
            )

    def _note_head(self) -> None:
        if self._signer is not None and self.head_file is not None:
            head, at = self._state.head, self._state.time or datetime.now(UTC)
            note_head(self.head_file, sign_receipt(self._signer, "", head.sequence, head.digest, at, 0))

    def renew_head(self) -> None:
        """Note where the history stands now, whatever was noted before: after a restoration."""
        state = self.state()
        if self._signer is not None and self.head_file is not None:
            at = state.time or datetime.now(UTC)
            note = sign_receipt(self._signer, "", state.head.sequence, state.head.digest, at, 0)
            note_head(self.head_file, note, anew=True)

    def _catch_up(self, connection: Connection) -> None:
        latest, head = datetime.now(UTC) + SKEW, self._state.head
        # From the last event that is known: a history that was exchanged meanwhile does not have it.
        rows = _read(connection, max(head.sequence - 1, 0))
        if head != START and next((each.head for each in rows), None) != head:
            raise LedgerError(f"ledger: event {head.sequence} is gone or another one: it was rolled back or rewritten")
        for each in rows:
            self._state.follow(each)
            _expect_past(each, latest)

    def _marks(self, facts: Sequence[Fact], when: datetime) -> list[Fact]:
        """What comes before the first facts that this version writes: that its rules hold from now on."""
        if self._state.version >= VERSION or not any(self._state.is_news(fact, when) for fact in facts):
            return []
        return [FormatMarked()]

    def _dated(self, when: datetime, facts: Sequence[Fact]) -> datetime:
        """The time of new events: never before that of the last one.

        Raises:
            LedgerError: the clock is too far behind for that to be a difference between two clocks.
        """
        last = self._state.time
        if last is None or when >= last or self._state.version < VERSION:
            return when
        if last - when > SKEW and not any(isinstance(fact, LedgerRestored) for fact in facts):
            raise LedgerError(
                f"ledger: {when.isoformat()} is before its last event ({last.isoformat()}); set this machine's clock"
            )
        return when if last - when > SKEW else last

    @contextmanager
    def _transaction(self, *, write: bool = False) -> Iterator[Connection]:
        try:
            with self._engine.connect().execution_options(atoll_write=write) as connection, connection.begin():
                yield connection
        except IntegrityError:
            raise
        except SQLAlchemyError as error:
            raise LedgerError(f"ledger: the database does not answer as it should: {_short(error)}") from error


def _expect_past(event: Event, latest: datetime) -> None:
    if event.time > latest:
        raise LedgerError(
            f"ledger: event {event.sequence} ({event.kind}) is dated {event.at}, which is in the future: "
            "set this machine's clock, or find out who wrote it"
        )


def _read(connection: Connection, after: int) -> Iterator[Event]:
    wanted = select(events).where(events.c.sequence > after).order_by(events.c.sequence)
    rows = connection.execute(wanted, execution_options={"yield_per": 1000})
    for row in rows:
        yield Event(**row._mapping)


def _engine(url: URL, is_sqlite: bool) -> Engine:
    if not is_sqlite:
        return create_engine(url, pool_pre_ping=True)
    engine = create_engine(url, connect_args={"timeout": _WAIT})

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, record: object) -> None:
        connection.isolation_level = None  # transactions begin where we say, below
        # Readers go on while one writes; a commit is on the disk when it returns.
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # Whoever writes takes its turn before it looks, or what it saw may be old when it writes.
        write = connection.get_execution_options().get("atoll_write", True)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _short(error: SQLAlchemyError) -> str:
    return str(getattr(error, "orig", None) or error).splitlines()[0]
