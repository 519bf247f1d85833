"""A blob that comes in pieces, and goes on where it stopped after a broken connection or a crash."""

import contextlib
import hashlib
import os
from pathlib import Path

from atoll.errors import FederationError
from atoll.experts.files import sync_folder, write_all


class PartialBlob:
    """The beginning of a blob, in a file beside where it will be."""

    def __init__(self, final: Path, digest: str, size: int) -> None:
        """Take up what is there.

        Args:
            final: Where it will be.
            digest: Of the whole.
            size: Of the whole, in bytes.
        """
        self._path, self._final = final.with_name(f".incoming-{final.name}"), final
        self.digest, self.size = digest, size
        final.parent.mkdir(parents=True, exist_ok=True)
        there = self._path.stat().st_size if self._path.exists() else 0
        if there > size:
            self._path.unlink()
        elif there and there == size:  # it was cut off between the last byte and its name
            with contextlib.suppress(FederationError):
                self._finish()

    @property
    def have(self) -> int:
        """Bytes that are there, from the beginning."""
        if self._final.exists() and self._final.stat().st_size == self.size:
            return self.size
        return self._path.stat().st_size if self._path.exists() else 0

    def add(self, offset: int, piece: bytes) -> None:
        """Take the next piece; one that is there already, or comes too early, changes nothing.

        Raises:
            FederationError: more bytes than the blob has, or a whole that is not what its digest says; then it is gone,
                so that it can come again.
            OSError: the disk is full; what was there before stays.
        """
        if offset != self.have or not piece:
            return
        if offset + len(piece) > self.size:
            raise FederationError(f"blob {self.digest} is said to have {self.size} bytes, but more came")
        with self._path.open("ab", buffering=0) as handle:  # a buffer would be written once more when it is closed
            try:
                write_all(handle, piece)
            except OSError:
                os.ftruncate(handle.fileno(), offset)
                raise
        if offset + len(piece) == self.size:
            self._finish()

    def _finish(self) -> None:
        with self._path.open("rb") as handle:
            found = f"sha256:{hashlib.file_digest(handle, 'sha256').hexdigest()}"
        if found != self.digest:
            self._path.unlink()
            raise FederationError(f"what came as blob {self.digest} has other content ({found})")
        os.replace(self._path, self._final)
        sync_folder(self._final.parent)
