"""An append-only file of the owner: numbered, chained, signed entries that are on the disk before what they note.

A line that was changed, taken out, moved or put in is detected, because every entry holds the digest of the one before
and the owner's signature. That the end was cut off is detected by the file beside it, which names the latest entry.
Whoever puts both files back to an earlier state at once is not: that needs a copy of the folder and write access to it.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from atoll.errors import ConfigError
from atoll.experts.files import write_all, write_atomic
from atoll.experts.signing import PublicKey, Signer

_DOMAIN = b"atoll account 1\n"
_FIRST = "0" * 64


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line.

    Attributes:
        number: Counted from 1.
        previous: SHA-256 of the line before, hex; zeros for the first.
        at: ISO 8601, UTC.
        kind: Of what it says.
        body: What it says.
        public_key: Of the owner's key that signed it, hex.
        signature: Hex, over everything else.
    """

    number: int
    previous: str
    at: str
    kind: str
    body: dict[str, Any]
    public_key: str
    signature: str = ""

    def signed(self, key: Signer) -> "Entry":
        """With the owner's signature."""
        return Entry(**{**asdict(self), "signature": key.sign(self._content()).hex()})

    @property
    def sound(self) -> bool:
        """Whether the signature fits."""
        try:
            return PublicKey.from_hex(self.public_key).verify(bytes.fromhex(self.signature), self._content())
        except (ValueError, ConfigError):
            return False

    def _content(self) -> bytes:
        fields = {name: value for name, value in asdict(self).items() if name != "signature"}
        return _DOMAIN + hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).digest()


class SignedLog:
    """The file, which several processes of the owner may use."""

    def __init__(self, path: Path, key: Signer) -> None:
        """At a path; the file is made with the first entry."""
        self._path, self._head, self._key = path, path.with_suffix(".head"), key
        self._lock = FileLock(path.with_suffix(".lock"))

    @contextmanager
    def locked(self) -> Iterator[list[Entry]]:
        """All entries, while nobody else adds any; :meth:`append` may be called meanwhile.

        Raises:
            ConfigError: the file was changed.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._lock:
            yield self._read()

    def entries(self) -> list[Entry]:
        """All entries, checked.

        Raises:
            ConfigError: the file was changed.
        """
        with self.locked() as found:
            return found

    def append(self, kind: str, body: dict[str, Any]) -> Entry:
        """Add an entry; it is on the disk when this returns.

        Raises:
            ConfigError: the file was changed.
            OSError: it cannot be written.
        """
        with self.locked() as known:
            lines = self._lines()
            previous = hashlib.sha256(lines[-1]).hexdigest() if lines else _FIRST
            at = datetime.now(UTC).isoformat(timespec="seconds")
            made = Entry(
                number=len(known) + 1, previous=previous, at=at, kind=kind, body=body, public_key=self._key.public.hex
            ).signed(self._key)
            line = json.dumps(asdict(made), sort_keys=True).encode()
            with self._path.open("ab+", buffering=0) as handle:
                handle.truncate(sum(len(each) + 1 for each in lines))  # without a line that a crash cut short
                write_all(handle, line + b"\n")
                os.fsync(handle.fileno())
            write_atomic(self._head, json.dumps({"number": made.number}).encode())
            return made

    def _lines(self) -> list[bytes]:
        """Whole lines; one that a crash cut short was of nothing that happened."""
        whole = self._path.read_bytes() if self._path.exists() else b""
        return whole[: whole.rfind(b"\n") + 1].splitlines()

    def _read(self) -> list[Entry]:
        found: list[Entry] = []
        previous, known = _FIRST, {self._key.public.hex, *self._former()}
        for number, line in enumerate(self._lines(), 1):
            try:
                entry = Entry(**json.loads(line))
                sound = (
                    entry.number == number and entry.previous == previous and entry.public_key in known and entry.sound
                )
            except (ValueError, TypeError):
                sound = False
            if not sound:
                raise ConfigError(f"{self._path}: line {number} was changed, moved or taken out since it was signed")
            previous = hashlib.sha256(line).hexdigest()
            found.append(entry)
        if len(found) < self._noted():
            raise ConfigError(f"{self._path}: ends with entry {len(found)}, and there were {self._noted()}")
        return found

    def _former(self) -> list[str]:
        """Keys of the owner that were replaced."""
        return [PublicKey.load(path).hex for path in sorted(self._path.parent.glob("retired/*.pub"))]

    def _noted(self) -> int:
        try:
            return int(json.loads(self._head.read_text("utf-8"))["number"])
        except FileNotFoundError:
            return 0
        except (ValueError, LookupError, TypeError) as error:
            raise ConfigError(f"{self._head}: is no note of the latest entry") from error
