"""An index of the outbox: which requests were answered, and how much left on each day; it can be made anew."""

import contextlib
import sqlite3
from collections.abc import Iterable
from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answered (nonce TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS days (day TEXT PRIMARY KEY, bytes INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
"""


class OutboxIndex:
    """A small SQLite database beside the outbox."""

    def __init__(self, path: Path) -> None:
        """Open it; one that is damaged is begun anew, and says that it is fresh."""
        self._path = path
        try:
            self._connection = self._open()
        except sqlite3.DatabaseError:
            for damaged in path.parent.glob(f"{path.name}*"):
                damaged.unlink()
            self._connection = self._open()

    @property
    def fresh(self) -> bool:
        """Whether nothing was ever noted."""
        return self._value("end") is None

    def clear(self) -> None:
        """Forget everything, so that it is made anew."""
        with self._connection as connection:
            for table in ("answered", "days", "state"):
                connection.execute(f"DELETE FROM {table}")

    def add(self, entries: Iterable[tuple[str, str, int]], end: int) -> None:
        """Note entries, each a nonce, a moment and bytes, and up to where in the outbox's file they are all noted."""
        with self._connection as connection:
            for nonce, at, size in entries:
                connection.execute("INSERT OR IGNORE INTO answered VALUES (?)", (nonce,))
                connection.execute(
                    "INSERT INTO days VALUES (?, ?) ON CONFLICT (day) DO UPDATE SET bytes = bytes + excluded.bytes",
                    (at[:10], size),
                )
            connection.execute("INSERT OR REPLACE INTO state VALUES ('end', ?)", (end,))

    @property
    def end(self) -> int:
        """Up to where in the outbox's file everything is noted."""
        return self._value("end") or 0

    def has(self, nonce: str) -> bool:
        """Whether an entry has this nonce."""
        return self._connection.execute("SELECT 1 FROM answered WHERE nonce = ?", (nonce,)).fetchone() is not None

    def bytes_of(self, day: str) -> int:
        """How much left on a day."""
        row = self._connection.execute("SELECT bytes FROM days WHERE day = ?", (day,)).fetchone()
        return int(row[0]) if row else 0

    def _value(self, name: str) -> int | None:
        row = self._connection.execute("SELECT value FROM state WHERE name = ?", (name,)).fetchone()
        return int(row[0]) if row else None

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, check_same_thread=False)
        try:
            # What is lost in a power cut is read from the outbox's own file again.
            connection.execute("PRAGMA synchronous = OFF")
            connection.executescript(_SCHEMA)
            connection.execute("SELECT count(*) FROM state").fetchone()
        except sqlite3.DatabaseError:
            with contextlib.suppress(sqlite3.Error):
                connection.close()
            raise
        return connection
