"""The head of a ledger, signed, in a file beside it: whoever puts an older ledger in its place is found out."""

from pathlib import Path

from filelock import FileLock

from atoll.errors import FederationError, LedgerError
from atoll.experts.files import write_atomic
from atoll.experts.receipts import Receipt


def head_file_of(ledger: Path) -> Path:
    """Where the head of a ledger in an SQLite file is kept."""
    return ledger.with_name(ledger.name + ".head")


def read_head(path: Path) -> Receipt | None:
    """The head that was noted; ``None`` where there is none.

    Raises:
        LedgerError: the file is damaged.
    """
    if not path.exists():
        return None
    try:
        return Receipt.load(path)
    except FederationError as error:
        raise LedgerError(
            f"{error}; it says where the ledger stood last, so without it a rollback goes unseen"
        ) from error


def note_head(path: Path, head: Receipt, *, anew: bool = False) -> None:
    """Keep a head, unless a later one is there.

    Args:
        path: The file.
        head: Where the ledger stands.
        anew: Whatever is there: after a restoration.
    """
    with FileLock(f"{path}.lock"):
        there = None if anew else read_head(path)
        if there is None or there.sequence < head.sequence:
            write_atomic(path, head.to_json().encode())
