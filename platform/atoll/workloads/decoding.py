"""Bytes to text, and what to do about bytes that are none: advice that fits what was found."""

import codecs
from pathlib import Path

from atoll.errors import DataError
from atoll.workloads.signatures import HEAD, advice_for, compression, kind_of

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def not_text(head: bytes, path: Path) -> str | None:
    """Why a file that begins so is no text, and what to do with it; ``None`` where it may be."""
    kind = kind_of(head)
    if kind:
        return f"{path}: this is {kind}, not text; {advice_for(kind)}"
    if head.startswith(_UTF16):
        return (
            f"{path}: byte 0 (0x{head[0]:02x}) is not UTF-8: it begins as UTF-16 does; convert the file, for instance "
            f"with: iconv -f UTF-16 -t UTF-8 '{path}'; or leave it out of the paths"
        )
    return None


def decode_plain(raw: bytes, path: Path, offset: int) -> str:
    """Text in UTF-8 without its mark at the beginning.

    Args:
        raw: The bytes.
        path: Their file.
        offset: Where in it they begin.

    Raises:
        DataError: they are none; it says what they look like.
    """
    if offset == 0:
        start = len(codecs.BOM_UTF8) if raw.startswith(codecs.BOM_UTF8) else 0
        raw, offset = raw[start:], start
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        binary = b"\0" in raw
        raise DataError(
            undecodable(path, offset + error.start, raw[error.start], error.reason, binary=binary)
        ) from error


def undecodable(path: Path, offset: int | None, byte: int, reason: str, *, binary: bool = False) -> str:
    """The message for a byte that is not UTF-8."""
    place = "a byte" if offset is None else f"byte {offset}"
    wrong = f"{path}: {place} (0x{byte:02x}) is not UTF-8 ({reason})"
    if binary:
        return f"{wrong}, and there are zero bytes: this is no text; leave the file out of the paths"
    if _compressed(path):
        return f"{wrong} once it is decompressed; decompress it and convert what is in it, or leave it out of the paths"
    return (
        f"{wrong}; convert the file, for instance with: iconv -f WINDOWS-1252 -t UTF-8 '{path}'; or leave it out of "
        "the paths"
    )


def _compressed(path: Path) -> bool:
    with path.open("rb") as stream:
        return compression(stream.read(HEAD)) is not None
