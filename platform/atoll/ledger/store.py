"""The ledger in a database: SQLite by default, PostgreSQL by URL. Events are added, never changed."""

import dataclasses
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection, Engine, create_engine, event, insert, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, SQLAlchemyError

from atoll.errors import LedgerError
from atoll.ledger.consent_facts import VERSION, FormatMarked, LedgerRestored
from atoll.ledger.event import START, Event, Head
from atoll.ledger.fact import Fact
from atoll.ledger.fold.rules import SKEW
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

    def __init__(self, engine: Engine) -> None:
        """Over an engine whose tables are there; see :meth:`open`."""
        self._engine = engine
        self._state = State()
        self._lock = threading.RLock()

    @classmethod
    def open(cls, where: str | Path, *, create: bool = True) -> Self:
        """The ledger at a place, brought to this version's tables.

        Args:
            where: A file, for SQLite; or a database URL such as ``postgresql+psycopg://atoll@db/atoll``.
            create: Make one where there is none.

        Raises:
            LedgerError: no such file, not a ledger, a database that does not answer, or a driver that is missing.
        """
        url = str(where) if "://" in str(where) else f"sqlite:///{Path(where).absolute()}"
        try:
            database = make_url(url)
            file = Path(database.database) if database.get_backend_name() == "sqlite" and database.database else None
            if file is not None and not create and not file.exists():
                raise LedgerError(f"{file}: there is no such ledger")
            if file is not None and not file.parent.exists():
                raise LedgerError(f"{file}: the folder {file.parent} does not exist")
            engine = _engine(url, file is not None)
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
        return cls(engine)

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

    def _catch_up(self, connection: Connection) -> None:
        latest = datetime.now(UTC) + SKEW
        for each in _read(connection, self._state.head.sequence):
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


def _engine(url: str, is_sqlite: bool) -> Engine:
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
