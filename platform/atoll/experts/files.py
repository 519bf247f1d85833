"""Reading that is bounded and writing that is all or nothing."""

import os
import stat
import tempfile
from pathlib import Path

from atoll.errors import PackageError


def read_bounded(path: Path, limit: int) -> bytes:
    """The bytes of a regular file of at most ``limit`` bytes.

    Raises:
        PackageError: missing, unreadable, no regular file, or too large; nothing was read in the last case.
    """
    try:
        # Without blocking, since opening a named pipe would wait for ever.
        with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as handle:
            status = os.fstat(handle.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise PackageError("is no regular file; name the .atoll file or the unpacked folder")
            if status.st_size > limit:
                raise PackageError(too_large(status.st_size, limit))
            data = handle.read(status.st_size + 1)
    except (OSError, ValueError) as error:
        raise PackageError(f"cannot be read ({getattr(error, 'strerror', None) or error}); check the path") from error
    if len(data) > limit:
        raise PackageError(too_large(len(data), limit))
    return data


def too_large(size: int, limit: int) -> str:
    """Reason for refusing something of this size."""
    return f"is {size} bytes, above the limit of {limit}; raise the limit if you expect an expert of this size"


def write_atomic(path: Path, data: bytes, *, mode: int = 0o644, overwrite: bool = True) -> None:
    """Write a file so that it is there whole or not at all, even after a crash.

    Raises:
        FileExistsError: it is there already and ``overwrite`` is False.
        OSError: it cannot be written.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
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


def sync_folder(folder: Path) -> None:
    """Make a rename in this folder last, where the system can."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
