"""Reading that is bounded and writing that is all or nothing."""

import io
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, final

from atoll.errors import PackageError

PIECE = 4 * 1024**2
"""Most bytes that are held at once of what is too large to be held whole."""


class Pieces(Protocol):
    """Bytes that come piece by piece, each time the same."""

    @property
    def size(self) -> int:
        """Of all pieces together."""

    def pieces(self) -> Iterator[memoryview]:
        """About :data:`PIECE` bytes at a time; a piece is overwritten when the next is asked for."""


@final
@dataclass(frozen=True, eq=False, slots=True)
class Content:
    """Bytes of an open file or in memory, or a part of them, of which only what is asked for is read.

    A file is read and not mapped: one that is cut short meanwhile, or on a stick that is pulled out, must end in a
    refusal, and a mapping would end the process.

    Attributes:
        source: The file or the bytes.
        begin: Where in the source the content begins.
        size: How many bytes it has.
    """

    source: io.BufferedIOBase | memoryview
    begin: int
    size: int

    @classmethod
    def of(cls, data: bytes) -> "Content":
        """What is in memory already."""
        return cls(memoryview(data), 0, len(data))

    def part(self, begin: int, size: int) -> "Content":
        """``size`` bytes from ``begin``, less where it ends earlier."""
        begin = min(begin, self.size)
        return Content(self.source, self.begin + begin, min(size, self.size - begin))

    def fill(self, begin: int, buffer: memoryview) -> None:
        """Copy what is at ``begin`` into all of ``buffer``.

        Raises:
            PackageError: it ends earlier, as a file does that was cut short since it was opened.
        """
        where, done = self.begin + begin, 0
        if isinstance(self.source, memoryview):
            found = self.source[where : where + len(buffer)]
            buffer[: len(found)] = found
            done = len(found)
        else:
            self.source.seek(where)
            while done < len(buffer) and (count := self.source.readinto(buffer[done:])):
                done += count
        if done < len(buffer):
            raise PackageError(f"ends at byte {where + done}, which it did not when it was opened; try again")

    def read(self) -> bytes:
        """All of it."""
        data = bytearray(self.size)
        self.fill(0, memoryview(data))
        return bytes(data)

    def pieces(self) -> Iterator[memoryview]:
        """See :class:`Pieces`."""
        buffer = memoryview(bytearray(min(PIECE, self.size)))
        for begin in range(0, self.size, PIECE):
            piece = buffer[: self.size - begin]
            self.fill(begin, piece)
            yield piece


@contextmanager
def opened(path: Path, limit: int) -> Iterator[Content]:
    """The content of a regular file of at most ``limit`` bytes, of which nothing has been read yet.

    Raises:
        PackageError: missing, unreadable, no regular file, or too large.
    """
    try:
        # Without blocking, since opening a named pipe would wait for ever.
        handle = os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb")
    except (OSError, ValueError) as error:
        raise PackageError(f"cannot be read ({getattr(error, 'strerror', None) or error}); check the path") from error
    with handle:
        status = os.fstat(handle.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise PackageError("is no regular file; name the .atoll file or the unpacked folder")
        if status.st_size > limit:
            raise PackageError(too_large(status.st_size, limit))
        yield Content(handle, 0, status.st_size)


def read_bounded(path: Path, limit: int) -> bytes:
    """The bytes of a regular file of at most ``limit`` bytes.

    Raises:
        PackageError: missing, unreadable, no regular file, or too large; nothing was read in the last case.
    """
    with opened(path, limit) as content:
        try:
            return content.read()
        except OSError as error:
            raise PackageError(f"cannot be read ({error.strerror or error}); check the path") from error


def too_large(size: int, limit: int) -> str:
    """Reason for refusing something of this size."""
    return f"is {size} bytes, above the limit of {limit}; raise the limit if you expect an expert of this size"


def write_atomic(path: Path, data: bytes, *, mode: int = 0o644, overwrite: bool = True) -> None:
    """Write a file so that it is there whole or not at all, even after a crash.

    Raises:
        FileExistsError: it is there already and ``overwrite`` is False.
        OSError: it cannot be written.
    """
    with atomic_stream(path, mode=mode, overwrite=overwrite) as stream:
        stream.write(data)


@contextmanager
def atomic_stream(path: Path, *, mode: int = 0o644, overwrite: bool = True) -> Iterator[io.BufferedRandom]:
    """A stream whose content is the file once the ``with`` block is through; after an exception nothing is there.

    Raises:
        FileExistsError: it is there already and ``overwrite`` is False.
        OSError: it cannot be written.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
    partial = Path(name)
    try:
        with os.fdopen(handle, "w+b") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        partial.chmod(mode)
        if overwrite:
            os.replace(partial, path)
        else:
            os.link(partial, path)  # unlike a rename, it fails where something is
    finally:
        partial.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_all(stream: io.RawIOBase, data: bytes) -> None:
    """Write to a stream without a buffer, and to the disk.

    Raises:
        OSError: it does not fit; a part of it may be there.
    """
    left = memoryview(data)
    while left:
        left = left[stream.write(left) or 0 :]
    os.fsync(stream.fileno())


def sync_folder(folder: Path) -> None:
    """Make a rename in this folder last, where the system can."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
