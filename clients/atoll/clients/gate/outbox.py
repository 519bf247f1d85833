"""What left the institution: written down before it goes, to the byte."""

import errno
import gzip
import hashlib
import json
import logging
import os
import shutil
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from atoll.clients.gate.outbox_index import OutboxIndex
from atoll.errors import ConfigError
from atoll.experts.files import write_all

log = logging.getLogger(__name__)
_LARGEST = 16 << 20
_TAIL = 1 << 16


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
    """An append-only log, one JSON object a line, on the disk before a message goes.

    Full files are set aside, compressed, in ``outbox/``, and none is ever removed; an index beside them says which
    requests were answered, so that opening reads only what came since the index was last written.
    """

    def __init__(self, path: Path, largest: int = _LARGEST, *, reading: bool = False) -> None:
        """Take up what is there.

        Args:
            path: Of the entries that are not set aside.
            largest: Bytes after which they are.
            reading: Only to read entries, beside a node that may be writing.

        Raises:
            ConfigError: a line that is no entry.
        """
        self._path, self._largest = path, largest
        self._aside = path.with_suffix("")
        self._lock = threading.Lock()
        self._opened: OutboxIndex | None = None
        if not reading and path.exists():
            self._index()

    def write(self, sent: Sent) -> None:
        """Note what is about to leave.

        Raises:
            OSError: it cannot be written; then it must not leave.
        """
        line = json.dumps(asdict(sent), ensure_ascii=False) + "\n"
        with self._lock:
            index = self._index()
            with self._path.open("ab", buffering=0) as handle:
                end = handle.seek(0, os.SEEK_END)
                try:
                    write_all(handle, line.encode())
                except OSError:
                    handle.truncate(end)  # it does not leave, and must not swallow the next
                    raise
                try:
                    index.add([(sent.nonce, _day(), sent.bytes)], handle.tell())
                except sqlite3.Error as error:
                    handle.truncate(end)
                    raise OSError(errno.EIO, f"the outbox's index cannot be written: {error}") from error
                end = handle.tell()
            if end > self._largest:
                self._set_aside(index)

    def answered(self, nonce: str) -> bool:
        """Whether a request was answered before."""
        with self._lock:
            return self._index().has(nonce)

    def today(self) -> int:
        """Bytes that left since midnight, UTC."""
        with self._lock:
            return self._index().bytes_of(_day())

    def entries(self) -> Iterator[Sent]:
        """All that left, in order; a line that a crash cut short never left.

        Raises:
            ConfigError: a line that is no entry.
        """
        for path in sorted(self._aside.glob("*.jsonl.gz")):
            with gzip.open(path, "rb") as packed:
                yield from _read(path, packed)
        if self._path.exists():
            with self._path.open("rb") as handle:
                yield from _read(self._path, handle)

    def _index(self) -> OutboxIndex:
        """The index, brought up to date, at the first time.

        Raises:
            OSError: it cannot be made.
        """
        try:
            return self._current_index()
        except sqlite3.Error as error:
            raise OSError(errno.EIO, f"the outbox's index cannot be used: {error}") from error

    def _current_index(self) -> OutboxIndex:
        if self._opened is None:
            index = OutboxIndex(self._path.with_suffix(".index"))
            if index.end > (self._path.stat().st_size if self._path.exists() else 0):
                index.clear()  # the file was cut off, or set aside just before a crash
            if index.fresh:
                for path in sorted(self._aside.glob("*.jsonl.gz")):
                    with gzip.open(path, "rb") as packed:
                        index.add(((each.nonce, each.at, each.bytes) for each in _read(path, packed)), 0)
            self._catch_up(index)
            self._opened = index
        return self._opened

    def _catch_up(self, index: OutboxIndex) -> None:
        """Index what was written after the index was, and cut off a line that a crash cut short: it never left."""
        if not self._path.exists():
            index.add([], 0)
            return
        size = self._path.stat().st_size
        with self._path.open("rb+") as handle:
            lines = handle.read(index.end).count(b"\n")
            index.add(((each.nonce, each.at, each.bytes) for each in _read(self._path, handle, lines)), size)
            handle.seek(max(0, size - _TAIL))
            tail = handle.read()
            if tail and not tail.endswith(b"\n"):
                whole = tail.rfind(b"\n") + 1
                if not whole:
                    handle.seek(0)
                    tail = handle.read()
                    whole = tail.rfind(b"\n") + 1
                size -= len(tail) - whole
                handle.truncate(size)
                index.add([], size)
        if size > self._largest:
            self._set_aside(index)

    def _set_aside(self, index: OutboxIndex) -> None:
        """Compress the entries into a file of their own; a crash in between leaves them where they are."""
        self._aside.mkdir(exist_ok=True)
        number = 1 + max((int(path.name.split(".")[0]) for path in self._aside.glob("[0-9]*.jsonl.gz")), default=0)
        unfinished = self._aside / f"{number:06d}.partial"
        try:
            with self._path.open("rb") as entries, gzip.open(unfinished, "wb", compresslevel=6) as packed:
                shutil.copyfileobj(entries, packed)
            # Two steps: were it cut off between them, entries would be there twice, and never not at all.
            unfinished.replace(self._aside / f"{number:06d}.jsonl.gz")
            self._path.unlink()
        except OSError as error:
            log.warning("%s cannot be set aside (%s); it grows on", self._path, error.strerror)
            return
        index.add([], 0)


def _read(path: Path, handle: Iterable[bytes], before: int = 0) -> Iterator[Sent]:
    """Entries of lines, of which there were some before these; a line that is cut short ends it."""
    for number, line in enumerate(handle, before + 1):
        if not line.endswith(b"\n"):
            return
        try:
            yield Sent(**json.loads(line))
        except (ValueError, TypeError) as error:
            raise ConfigError(f"{path}: line {number} is no entry of an outbox") from error


def sent(to: str, asks: str, nonce: str, text: str, chunk: bytes = b"", blob: str = "", offset: int = 0) -> Sent:
    """An entry for what is about to leave now."""
    digest = hashlib.sha256(chunk).hexdigest() if chunk else ""
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    return Sent(
        at=at, to=to, asks=asks, nonce=nonce, text=text, chunk=len(chunk), chunk_sha256=digest, blob=blob, offset=offset
    )


def _day() -> str:
    return datetime.now(UTC).date().isoformat()
