"""One coordinator to a ledger: a second one refuses, and a dead one holds nobody up."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, text

from atoll.errors import LedgerError
from atoll.ledger.location import ledger_file, ledger_url
from atoll.storage.folder_lock import in_use, sole_owner

_NAME = 0x41746F6C6C
"""PostgreSQL's number for the lock of the coordinator of a ledger."""


@contextmanager
def sole_coordinator(where: str | Path) -> Iterator[None]:
    """Hold the place of the one coordinator; the system frees it when this process ends, however it does.

    Args:
        where: The ledger: a file, or a database URL.

    Raises:
        LedgerError: another coordinator holds it.
    """
    url = ledger_url(where)
    file = ledger_file(url)
    shown = url.render_as_string() if file is None else str(file)  # without a password
    if file is None:
        engine = create_engine(url, pool_pre_ping=True)
        try:
            with engine.connect() as connection:
                if not connection.execute(text("SELECT pg_try_advisory_lock(:name)"), {"name": _NAME}).scalar():
                    raise LedgerError(in_use(shown))
                connection.commit()
                yield
        finally:
            engine.dispose()
        return
    # By where it is in truth: a link, a relative path and a URL can all mean one file.
    with sole_owner(Path(f"{file.resolve()}.coordinator"), shown):
        yield
