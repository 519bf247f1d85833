"""What left the institution: written down before it goes, to the byte."""

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path

from atoll.errors import ConfigError
from atoll.experts.files import write_all


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One message that left.

    Attributes:
        at: ISO 8601, UTC.
        to: Fingerprint of the coordinator's key.
        asks: What was asked.
        nonce: Of the request that it answers.
        text: What was said, in full.
        chunk: Bytes of a blob that went along.
        chunk_sha256: Their digest.
        blob: Which blob they are a piece of.
        offset: Where in it they begin.
    """

    at: str
    to: str
    asks: str
    nonce: str
    text: str
    chunk: int = 0
    chunk_sha256: str = ""
    blob: str = ""
    offset: int = 0

    @property
    def bytes(self) -> int:
        """All that was said: the text in UTF-8 and the piece."""
        return len(self.text.encode()) + self.chunk


class Outbox:
    """An append-only log, one JSON object a line, on the disk before a message goes."""

    def __init__(self, path: Path) -> None:
        """Take up what is there."""
        self._path = path
        self._lock = threading.Lock()
        self._mended = False
        self._answered = {sent.nonce for sent in self.entries()}
        self._today = self._counted(_day())

    def write(self, sent: Sent) -> None:
        """Note what is about to leave.

        Raises:
            OSError: it cannot be written; then it must not leave.
        """
        line = json.dumps(asdict(sent), ensure_ascii=False) + "\n"
        with self._lock:
            with self._path.open("ab+", buffering=0) as handle:
                if not self._mended:
                    self._mend(handle)
                end = handle.seek(0, os.SEEK_END)
                try:
                    write_all(handle, line.encode())
                except OSError:
                    handle.truncate(end)  # it does not leave, and must not swallow the next
                    raise
            self._answered.add(sent.nonce)
            day, count = self._today if self._today[0] == _day() else (_day(), 0)
            self._today = (day, count + sent.bytes)

    def answered(self, nonce: str) -> bool:
        """Whether a request was answered before."""
        return nonce in self._answered

    def today(self) -> int:
        """Bytes that left since midnight, UTC."""
        return self._today[1] if self._today[0] == _day() else 0

    def entries(self) -> Iterator[Sent]:
        """All that left, in order; a line that a crash cut short never left.

        Raises:
            ConfigError: a line that is no entry.
        """
        if not self._path.exists():
            return
        with self._path.open("rb") as handle:
            for number, line in enumerate(handle, 1):
                if not line.endswith(b"\n"):
                    return
                try:
                    yield Sent(**json.loads(line))
                except (ValueError, TypeError) as error:
                    raise ConfigError(f"{self._path}: line {number} is no entry of an outbox") from error

    def _mend(self, handle: FileIO) -> None:
        """Cut off a line that a crash cut short: what it was about never left, and it must not swallow the next."""
        handle.seek(0)
        whole = handle.readall()
        handle.truncate(whole.rfind(b"\n") + 1)
        self._mended = True

    def _counted(self, day: str) -> tuple[str, int]:
        return day, sum(sent.bytes for sent in self.entries() if sent.at.startswith(day))


def sent(to: str, asks: str, nonce: str, text: str, chunk: bytes = b"", blob: str = "", offset: int = 0) -> Sent:
    """An entry for what is about to leave now."""
    digest = hashlib.sha256(chunk).hexdigest() if chunk else ""
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    return Sent(
        at=at, to=to, asks=asks, nonce=nonce, text=text, chunk=len(chunk), chunk_sha256=digest, blob=blob, offset=offset
    )


def _day() -> str:
    return datetime.now(UTC).date().isoformat()
