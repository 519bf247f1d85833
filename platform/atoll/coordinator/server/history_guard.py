"""Whether the ledger is still the one that there was: asked at every start, and of every receipt that a node shows."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from atoll.coordinator.server.folder import ServerFolder
from atoll.errors import FederationError, LedgerError, MixtureError
from atoll.experts.files import write_atomic
from atoll.experts.receipts import Receipt
from atoll.experts.signing import PublicKey
from atoll.ledger import HistoryDoubted, Ledger, State
from atoll.ledger.head_file import read_head
from atoll.releases.envelope import read_envelope
from atoll.releases.folder import read_description

log = logging.getLogger(__name__)
WAY_ON = (
    "put the newer ledger back; or go on from this one, knowingly: atoll coordinator restore FOLDER --reason TEXT "
    "(docs/deployment.md, Backups)"
)


@dataclass(frozen=True, slots=True)
class KnownHead:
    """A head that the ledger had.

    Attributes:
        sequence: How many events there were.
        digest: Of the last one.
        at: When it was signed; ``None`` where that is not known.
        where: Who says so.
    """

    sequence: int
    digest: str
    at: datetime | None
    where: str


def check_history(folder: ServerFolder, ledger: Ledger, key: PublicKey) -> None:
    """Verify the whole ledger, and that it is not an older or another one than there was.

    Args:
        folder: The coordinator's.
        ledger: Its ledger, opened with any head.
        key: The coordinator's.

    Raises:
        LedgerError: it was changed, cut, rolled back or forked; the message says the way on.
    """
    ledger.verify()
    state = ledger.state()
    if state.doubted:
        raise LedgerError(f"ledger: {state.doubted}; {WAY_ON}")
    if state.version >= 2 and not folder.ledger_head.exists():
        raise LedgerError(
            f"{folder.ledger_head}: is gone, which says where the ledger stood last; copy it back, or {WAY_ON}"
        )
    for head in lost_heads(folder, ledger, key):
        raise LedgerError(
            f"ledger: event {head.sequence}, which {head.where} names, is not in this history, or is another one: the "
            f"ledger was rolled back or rewritten; {WAY_ON}"
        )
    if stray := stray_releases(folder, state):
        names = ", ".join(path.name for path in stray)
        raise LedgerError(
            f"{folder.releases}: {names} came after release {max(state.releases, default=0)}, the ledger's last: the "
            f"ledger is older than they are; they stay as they are; {WAY_ON}"
        )


def lost_heads(folder: ServerFolder, ledger: Ledger, key: PublicKey) -> Iterator[KnownHead]:
    """Heads that the ledger had and does not hold, other than those that a restoration was told of."""
    state = ledger.state()
    for head in known_heads(folder, key):
        if not ledger.holds(head.sequence, head.digest) and not state.knows_lost(head.sequence, head.digest, head.at):
            yield head


def known_heads(folder: ServerFolder, key: PublicKey) -> Iterator[KnownHead]:
    """Heads of the ledger that were noted elsewhere: beside it, in releases, and by nodes."""
    noted = read_head(folder.ledger_head)
    if noted is not None and noted.public_key == key.hex:
        yield KnownHead(noted.sequence, noted.digest, noted.time, str(folder.ledger_head))
    for path in sorted(folder.releases.glob("release-*")):
        envelope = read_envelope(path)
        if envelope is not None and envelope.public_key == key.hex and envelope.head:
            number, _, digest = envelope.head.partition(":")
            yield KnownHead(int(number), digest, datetime.fromisoformat(envelope.issued), str(path))
    for path in sorted(folder.witnesses.glob("*.json")):
        try:
            receipt = Receipt.load(path)
        except FederationError as error:
            log.warning("%s", error)
            continue
        if receipt.public_key == key.hex:
            yield KnownHead(receipt.sequence, receipt.digest, receipt.time, f"the node of '{receipt.owner}'")


def stray_releases(folder: ServerFolder, state: State) -> list[Path]:
    """Releases' folders with numbers above the ledger's last; the coordinator makes none before its ledger names it."""
    return [path for path in _above(folder, state) if is_whole(path)]


def _above(folder: ServerFolder, state: State) -> list[Path]:
    last = max(state.releases, default=0)
    numbers = {path: path.name.removeprefix("release-") for path in folder.releases.glob("release-*")}
    return sorted(path for path, number in numbers.items() if number.isdecimal() and int(number) > last)


def is_whole(path: Path) -> bool:
    """Whether a folder is a release that was written to its end."""
    try:
        read_description(path)
    except MixtureError:
        return False
    return True


def set_aside_stray(folder: ServerFolder, state: State) -> list[str]:
    """Rename the folders of releases that the ledger does not know, and keep all that is in them.

    Returns:
        The new names of those that are whole; the others were never releases.
    """
    names = []
    for path in _above(folder, state):
        what, number = "set-aside" if is_whole(path) else "unfinished", 1
        while (target := path.with_name(f"{what}-{number}-{path.name}")).exists():
            number += 1
        path.rename(target)
        names += [target.name] if what == "set-aside" else []
    return names


def hear_receipt(folder: ServerFolder, ledger: Ledger, key: PublicKey, owner: str, text: str) -> bool:
    """Compare the newest receipt that a node holds with the ledger; one of another history stops the coordinator.

    Args:
        folder: The coordinator's.
        ledger: Its ledger.
        key: The coordinator's.
        owner: Whose node shows it.
        text: The receipt; one that is not this coordinator's is nothing to it.

    Returns:
        Whether the ledger is doubted from now on.
    """
    try:
        receipt = Receipt.from_json(text)
    except FederationError as error:
        log.warning("%s showed a receipt that is none: %s", owner, error)
        return False
    if receipt.public_key != key.hex or receipt.owner != owner or ledger.holds(receipt.sequence, receipt.digest):
        return False
    if ledger.state().knows_lost(receipt.sequence, receipt.digest, receipt.time):
        return False
    folder.witnesses.mkdir(exist_ok=True)
    write_atomic(folder.witnesses / f"{owner}.json", receipt.to_json().encode())
    news = ledger.record(HistoryDoubted(head=receipt.head, owner=owner)) is not None
    if news:
        log.error("the ledger was rolled back or rewritten: %s; %s", ledger.state().doubted, WAY_ON)
    return news
