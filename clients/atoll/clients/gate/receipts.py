"""The receipts that coordinators give with every message: kept, and compared, so that a history can't be exchanged."""

import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from atoll.clients.gate.alarms import Alarms
from atoll.errors import FederationError
from atoll.experts.files import write_atomic
from atoll.experts.receipts import Receipt, contradiction
from atoll.experts.signing import PublicKey

_LATE = 180.0
"""Seconds after which no message that was sent earlier can still come."""
_LARGEST = 4 << 20
"""Bytes of the file above which its older half goes, but for the first receipt."""
_SHOW = "`atoll node receipts FOLDER` writes the receipts out; show them to other members, and ask the operator"


class Receipts:
    """A node's ``receipts.jsonl``: one receipt a line, of every head that was told."""

    def __init__(self, folder: Path, owner: str, alarms: Alarms, clock: Callable[[], float] = time.monotonic) -> None:
        """Read what is kept.

        Args:
            folder: The node's.
            owner: To whom receipts must be given.
            alarms: Where contradictions are written.
            clock: Seconds that only go forward.
        """
        self._path, self._owner, self._alarms, self._clock = folder / "receipts.jsonl", owner, alarms, clock
        self._digests: dict[str, dict[int, Receipt]] = defaultdict(dict)
        self._newest: dict[str, tuple[Receipt, float]] = {}
        self._size = self._path.stat().st_size if self._path.exists() else 0
        for receipt in read_receipts(self._path):
            self._remember(receipt)

    def keep(self, text: str, coordinator: PublicKey) -> None:
        """Keep a receipt, and compare it with those before.

        Args:
            text: As it came.
            coordinator: Who sent it.
        """
        try:
            receipt = Receipt.from_json(text)
            if receipt.public_key != coordinator.hex or receipt.owner != self._owner:
                raise FederationError("it is another coordinator's, or another owner's")
        except FederationError as error:
            self._alarms.ring(f"the coordinator {coordinator.fingerprint} gave a receipt that is none: {error}")
            return
        same = self._digests[receipt.public_key].get(receipt.sequence)
        newest, since = self._newest.get(receipt.public_key, (None, 0.0))
        if same is not None and same.digest == receipt.digest and newest is not None:
            if receipt.sequence >= newest.sequence:
                return
        elif same is not None:
            self._ring(receipt, contradiction(same, receipt))
        late = newest is not None and receipt.time <= newest.time and self._clock() - since <= _LATE
        if newest is not None and receipt.sequence < newest.sequence and not late:
            self._ring(receipt, f"a rollback: {newest.sequence} events were told before, now {receipt.sequence}")
        if same is None or same.digest != receipt.digest:
            self._write(receipt)
            self._remember(receipt)

    def newest(self, coordinator: PublicKey) -> str:
        """The receipt with the most events of a coordinator, as a line; empty where there is none."""
        newest, _ = self._newest.get(coordinator.hex, (None, 0.0))
        return "" if newest is None else newest.to_line()

    def _ring(self, receipt: Receipt, what: str) -> None:
        if self._alarms.ring(
            f"the coordinator {PublicKey.from_hex(receipt.public_key).fingerprint} tells another history than before: "
            f"{what}. {_SHOW}"
        ):
            self._write(receipt)

    def _remember(self, receipt: Receipt) -> None:
        self._digests[receipt.public_key].setdefault(receipt.sequence, receipt)
        newest, _ = self._newest.get(receipt.public_key, (None, 0.0))
        if newest is None or receipt.sequence > newest.sequence:
            self._newest[receipt.public_key] = (receipt, self._clock())

    def _write(self, receipt: Receipt) -> None:
        line = receipt.to_line().encode() + b"\n"
        if self._size + len(line) > _LARGEST:
            lines = self._path.read_bytes().splitlines(keepends=True)
            kept = b"".join([lines[0], *lines[len(lines) // 2 :]])
            write_atomic(self._path, kept)
            self._size = len(kept)
        with self._path.open("ab") as handle:
            handle.write(line)
        self._size += len(line)


def read_receipts(path: Path) -> list[Receipt]:
    """Receipts of a file, one a line; a line that is none is left out."""
    found = []
    for line in path.read_text("utf-8").splitlines() if path.exists() else ():
        try:
            found.append(Receipt.from_json(line))
        except FederationError:
            continue
    return found
