"""Files as they are without compression: gzip, bzip2, xz and zstd, known by their first bytes whatever their names are.

A small file may expand to any size: what comes out is bounded against what went in.
"""

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from atoll.errors import ConfigError, DataError
from atoll.workloads.signatures import HEAD, compression

FREE = 64 << 20
"""Bytes that may come out of any file."""
RATIO = 100
"""How many times its size may come out beyond; ordinary text gives 3 to 10 times."""


@contextmanager
def open_plain(path: Path) -> Iterator[BinaryIO]:
    """A file's content as a buffered stream of bytes, decompressed where it is compressed.

    Raises:
        ConfigError: zstd, and pyarrow is not installed.
        DataError: a compressed stream that is truncated, damaged, or expands beyond all measure.
        OSError: the file cannot be read.
    """
    with path.open("rb") as raw:
        name = compression(raw.read(HEAD))
        raw.seek(0)
        if name is None:
            yield raw
            return
        with io.BufferedReader(_Expanded(path, raw, name), 1 << 18) as stream:
            yield cast(BinaryIO, stream)


def head_of(path: Path) -> bytes:
    """The first bytes of a file's content, decompressed.

    Raises:
        DataError: see :func:`open_plain`.
        OSError: the file cannot be read.
    """
    with open_plain(path) as stream:
        return stream.read(HEAD)


class _Expanded(io.RawIOBase):
    """What a compressed file holds, up to a bound; every fault of the stream is one error."""

    def __init__(self, path: Path, raw: BinaryIO, name: str) -> None:
        """Start at the beginning."""
        self._path, self._name = path, name
        self._left = FREE + RATIO * path.stat().st_size
        self._inner = _decompressor(path, raw, name)

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer, or as much of it as comes at once."""
        try:
            block = self._inner.read(len(buffer))
        except EOFError:
            raise self._fault("ends before its stream does: it was cut off; copy or compress it again") from None
        except (OSError, zlib.error, lzma.LZMAError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            cut = "Truncated" in str(error)
            what = "ends before its stream does: it was cut off" if cut else "is damaged, or something follows it"
            raise self._fault(f"{what}; copy or compress it again") from None
        self._left -= len(block)
        if self._left < 0:
            raise self._fault(f"expands to more than {RATIO} times its size: decompress it if it is what it should be")
        buffer[: len(block)] = block
        return len(block)

    def _fault(self, what: str) -> DataError:
        return DataError(f"{self._path}: the {self._name} file {what}")


def _decompressor(path: Path, raw: BinaryIO, name: str) -> Any:
    if name == "gzip":
        return gzip.GzipFile(fileobj=raw, mode="rb")
    if name == "bzip2":
        return bz2.BZ2File(raw, "rb")
    if name == "xz":
        return lzma.LZMAFile(raw, "rb")
    try:
        import pyarrow as pa
    except ImportError as error:
        raise ConfigError(f"{path}: zstd needs pyarrow ({error}): pip install 'atoll[text]'") from error
    return pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd")
