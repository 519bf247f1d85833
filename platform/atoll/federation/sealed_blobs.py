"""Blobs under a key of their own: throwing the key away makes every copy of them unreadable, wherever copies are.

A backup holds experts only so. A disk that was copied last month can't be reached any more, but what is on it is noise
once the key is gone ("crypto-erasure", NIST SP 800-88 revision 1, section 2.6).

A sealed file is a header, then pieces of AES-256-GCM, in the STREAM construction (Hoang, Reyhanitabar, Rogaway and
Vizár 2015, figure 9): the nonce of a piece is a random prefix, its number, and whether it is the last. So pieces can't
be dropped, swapped or added, and a file of any size needs the memory of one piece.
"""

import os
import secrets
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from atoll.errors import FederationError
from atoll.experts.checks import DIGEST
from atoll.experts.files import atomic_stream, sync_folder, write_atomic

_MAGIC = b"atoll sealed 1\n"
_PIECE = 1 << 20
_TAG, _PREFIX = 16, 7
_NUMBER = struct.Struct(">IB")


class ExpertKeys:
    """A key for each expert, in a folder that no backup holds."""

    def __init__(self, folder: Path) -> None:
        """At a folder, which is made with the first key."""
        self._folder = folder

    def key_of(self, expert: str) -> bytes:
        """The key of an expert, made when first asked for: 32 bytes.

        Raises:
            FederationError: no digest, or a key that was cut short.
        """
        path = self._path(expert)
        if not path.exists():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomic(path, secrets.token_bytes(32), mode=0o600)
        return self._read(path)

    def known(self, expert: str) -> bytes | None:
        """The key of an expert; ``None`` where there is none, or none any more."""
        path = self._path(expert)
        return self._read(path) if path.exists() else None

    def throw_away(self, expert: str) -> bool:
        """Make all that was sealed under it unreadable for good; whether there was a key.

        It is overwritten before it is removed. Where a disk writes elsewhere than it is told (flash, snapshots), that
        is no guarantee: keep the folder on a disk that is encrypted as a whole.
        """
        path = self._path(expert)
        if not path.exists():
            return False
        with path.open("r+b", buffering=0) as handle:
            handle.write(secrets.token_bytes(32))
            os.fsync(handle.fileno())
        path.unlink()
        sync_folder(self._folder)
        return True

    def _path(self, expert: str) -> Path:
        if not DIGEST.fullmatch(expert):
            raise FederationError(f"'{expert[:80]}' is no digest of an expert: it should be sha256: and 64 hex digits")
        return self._folder / f"{expert.removeprefix('sha256:')}.key"

    @staticmethod
    def _read(path: Path) -> bytes:
        key = path.read_bytes()
        if len(key) != 32:
            raise FederationError(f"{path}: is no key of 32 bytes; what was sealed under it cannot be read")
        return key


def seal(source: Path, target: Path, key: bytes, expert: str) -> None:
    """Write ``source`` sealed; it is there whole or not at all.

    Args:
        source: The plain file, which stays.
        target: The sealed one; an older one is replaced.
        key: From :class:`ExpertKeys`.
        expert: Whose bytes they are; a file that is passed off as another expert's does not open.
    """
    prefix = secrets.token_bytes(_PREFIX)
    cipher = AESGCM(key)
    with source.open("rb") as plain, atomic_stream(target) as sealed:
        sealed.write(_MAGIC + prefix)
        for number, (piece, last) in enumerate(_pieces(plain, _PIECE)):
            sealed.write(cipher.encrypt(_nonce(prefix, number, last), piece, expert.encode()))


def unseal(source: Path, target: Path, key: bytes, expert: str) -> None:
    """Write what was sealed; it is there whole or not at all.

    Raises:
        FederationError: another key, another expert's, or damaged.
    """
    cipher = AESGCM(key)
    try:
        with source.open("rb") as sealed, atomic_stream(target) as plain:
            header = sealed.read(len(_MAGIC) + _PREFIX)
            if not header.startswith(_MAGIC) or len(header) != len(_MAGIC) + _PREFIX:
                raise FederationError(f"{source}: is no sealed file; take it from another backup")
            prefix = header[len(_MAGIC) :]
            for number, (piece, last) in enumerate(_pieces(sealed, _PIECE + _TAG)):
                plain.write(cipher.decrypt(_nonce(prefix, number, last), piece, expert.encode()))
    except InvalidTag as error:
        raise FederationError(
            f"{source}: cannot be opened: it is damaged, or sealed under another key than that of {expert[:19]}"
        ) from error


def _nonce(prefix: bytes, number: int, last: bool) -> bytes:
    return prefix + _NUMBER.pack(number, last)


def _pieces(stream: BinaryIO, size: int) -> Iterator[tuple[bytes, bool]]:
    """Pieces, each with whether it is the last; an empty stream has one empty piece."""
    piece = stream.read(size)
    while True:
        following = stream.read(size)
        yield piece, not following
        if not following:
            return
        piece = following
