"""Exports enter the inventory of holders when they are written."""

from contextlib import AbstractContextManager
from pathlib import Path

from atoll.coordinator.erasure.exports import mark
from atoll.coordinator.erasure.inventory import EXPORT, record_copy
from atoll.coordinator.export import ADAPTERS
from atoll.coordinator.server.folder import ServerFolder
from atoll.ledger import Ledger
from atoll.releases.opening import OpenRelease

_RELEASES = "releases"


def ledger_of(release: Path, named: str = "") -> AbstractContextManager[Ledger] | None:
    """The ledger in which copies of a release are registered; ``None`` where none is at hand.

    Args:
        release: The release's folder.
        named: A ledger's file or URL; empty for that of the coordinator, or of the run, in whose folder the release is.

    Raises:
        LedgerError, ConfigError: it cannot be opened.
    """
    if named:
        return Ledger.open(named, create=False)
    root = release.absolute().parent.parent
    if release.absolute().parent.name != _RELEASES:
        return None
    if (root / "coordinator.yaml").is_file():
        return ServerFolder(root).open_ledger()
    return Ledger.open(root / "ledger.db", create=False) if (root / "ledger.db").is_file() else None


def register_export(ledger: Ledger, opened: OpenRelease, folder: Path, form: str) -> None:
    """Register what :func:`atoll.coordinator.export.export` wrote: adapters one by one, a checkpoint as a whole.

    Raises:
        LedgerError: the ledger does not take it.
    """
    if form == ADAPTERS:
        for expert in opened.experts:
            own = folder / expert.card.owner
            record_copy(ledger, what=EXPORT, where=own, experts=[expert.digest], content=mark(own))
        return
    digests = [expert.digest for expert in opened.experts]
    record_copy(ledger, what=EXPORT, where=folder, experts=digests, content=mark(folder))
