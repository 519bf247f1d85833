"""Blobs by content: a store, and how two stores exchange what one lacks."""

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Collection, Iterable
from pathlib import Path

from flwr.app import ConfigRecord

from atoll.errors import FederationError
from atoll.federation.partial import PartialBlob

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class BlobStore:
    """Files named by the SHA-256 of their content. Several processes may use one."""

    def __init__(self, root: Path) -> None:
        """Open a folder; it is made when the first blob comes."""
        self._root = root

    def put(self, content: bytes) -> str:
        """Keep ``content``; returns its digest."""
        digest = blob_digest(content)
        path = self._path(digest)
        if not path.exists():
            self._root.mkdir(parents=True, exist_ok=True)
            handle, partial = tempfile.mkstemp(dir=self._root, prefix=".partial-")
            try:
                with os.fdopen(handle, "wb") as stream:
                    stream.write(content)
                    stream.flush()
                    os.fsync(stream.fileno())
                os.replace(partial, path)
            finally:
                Path(partial).unlink(missing_ok=True)
        return digest

    def get(self, digest: str) -> Path:
        """The file of a blob, after checking its content.

        Raises:
            FederationError: it is not here, or it was damaged; a damaged one is removed, so that it can be sent again.
        """
        path = self.path(digest)
        with path.open("rb") as stream:
            found = f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"
        if found != digest:
            path.unlink()
            raise FederationError(f"blob {digest} was damaged on disk and is removed; it must be sent again")
        return path

    def path(self, digest: str) -> Path:
        """The file of a blob, unchecked.

        Raises:
            FederationError: it is not here.
        """
        path = self._path(digest)
        if not path.is_file():
            raise FederationError(f"blob {digest} is not here")
        return path

    def there(self, digest: str) -> bool:
        """Whether there is a file, sound or not."""
        return self._path(digest).is_file()

    def adopt(self, file: Path) -> str:
        """Keep a file's content without reading it into memory; the file stays where it is.

        Returns:
            Its digest.
        """
        with file.open("rb") as stream:
            digest = f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"
        path = self._path(digest)
        if not path.exists():
            self._root.mkdir(parents=True, exist_ok=True)
            handle, partial = tempfile.mkstemp(dir=self._root, prefix=".partial-")
            os.close(handle)
            try:
                shutil.copyfile(file, partial)
                with open(partial, "rb") as written:
                    os.fsync(written.fileno())
                os.replace(partial, path)
            finally:
                Path(partial).unlink(missing_ok=True)
        return digest

    def remove(self, digest: str) -> bool:
        """Erase a blob, and the beginning of one that never came whole; whether anything was there.

        Raises:
            FederationError: no digest.
        """
        path = self._path(digest)
        there = [each for each in (path, path.with_name(f".incoming-{path.name}")) if each.exists()]
        for each in there:
            each.unlink()
        return bool(there)

    def sweep(self, older_than: float) -> None:
        """Remove what a crash left half written before a moment, in seconds since 1970: it may be of any blob."""
        for path in self._root.glob(".partial-*"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < older_than:
                    path.unlink()

    def incoming(self, digest: str, size: int) -> PartialBlob:
        """A blob that comes in pieces, as far as it is here.

        Raises:
            FederationError: no digest.
        """
        return PartialBlob(self._path(digest), digest, size)

    def has(self, digest: str) -> bool:
        """Whether a sound copy is here."""
        try:
            self.get(digest)
        except FederationError:
            return False
        return True

    def digests(self) -> list[str]:
        """All blobs, sorted."""
        if not self._root.exists():
            return []
        names = (f"sha256:{path.name}" for path in self._root.iterdir())
        return sorted(name for name in names if _DIGEST.fullmatch(name))

    def _path(self, digest: str) -> Path:
        if not _DIGEST.fullmatch(digest):
            raise FederationError(f"'{digest}' is no digest: it should be sha256: and 64 hex digits")
        return self._root / digest.removeprefix("sha256:")


def blob_digest(content: bytes) -> str:
    """``sha256:…`` of the bytes."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def pack_blobs(store: BlobStore, wanted: Iterable[str], held: Collection[str]) -> ConfigRecord:
    """What the other side lacks, for a Flower message."""
    return ConfigRecord({digest: store.get(digest).read_bytes() for digest in wanted if digest not in held})


def unpack_blobs(record: ConfigRecord, store: BlobStore) -> list[str]:
    """Keep what came.

    Raises:
        FederationError: a blob is not what its digest says.
    """
    for digest, content in record.items():
        if not isinstance(content, bytes) or blob_digest(content) != digest:
            raise FederationError(f"what came as blob {digest} has other content")
        store.put(content)
    return sorted(record)
