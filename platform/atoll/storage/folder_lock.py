"""One process to a folder: a second one refuses, and a dead one holds nobody up."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from atoll.errors import LedgerError


@contextmanager
def sole_owner(lock: Path, shown: object, advice: str = "") -> Iterator[None]:
    """Hold a folder, or a file; the system frees it when this process ends, however it does.

    Args:
        lock: The lock's file, in a folder that is there.
        shown: What is held, for people.
        advice: What to do in place of waiting.

    Raises:
        LedgerError: another process holds it.
    """
    held = FileLock(lock)
    try:
        held.acquire(timeout=0)
    except Timeout:
        raise LedgerError(in_use(shown, advice)) from None
    try:
        yield
    finally:
        held.release()


def in_use(shown: object, advice: str = "") -> str:
    """The sentence about what another process holds."""
    return f"{shown}: another process works here, and only one may; wait for it, or stop it first{advice}"
