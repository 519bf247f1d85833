"""Where a ledger is: a file by its path, whatever characters are in it, or a database by its URL."""

import os
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from atoll.errors import LedgerError


def ledger_url(where: str | Path) -> URL:
    """The database of a ledger.

    Args:
        where: A file, for SQLite; or a database URL such as ``postgresql+psycopg://atoll@db/atoll``. A ``Path`` is
            always a file.

    Raises:
        LedgerError: neither.
    """
    if isinstance(where, Path) or "://" not in where:
        return URL.create("sqlite", database=os.path.abspath(where))
    try:
        return make_url(where)
    except ArgumentError as error:
        raise LedgerError(f"'{where}' is neither a file nor a database URL that can be used: {error}") from error


def ledger_file(url: URL) -> Path | None:
    """The file of a ledger in SQLite; ``None`` for another database.

    Raises:
        LedgerError: a ledger in memory, which nobody else would see and nothing would keep.
    """
    if url.get_backend_name() != "sqlite":
        return None
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise LedgerError(f"'{url.render_as_string()}': a ledger is kept in a file; name one, as sqlite:////PATH")
    return Path(url.database)


def absolute_ledger(where: str) -> str:
    """The URL of a ledger, the same from whatever folder it is read."""
    url = ledger_url(where)
    file = ledger_file(url)
    return where if file is None else url.set(database=os.path.abspath(file)).render_as_string()
