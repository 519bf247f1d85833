"""Owners' keys: Ed25519 (RFC 8032), by the ``cryptography`` package."""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from atoll.errors import ConfigError
from atoll.experts.files import write_atomic

_HEX = re.compile(r"[0-9a-f]{64}")
_P = 2**255 - 19
"""Coordinates are counted modulo this prime (RFC 8032, section 5.1)."""
_EIGHTH = 2707385501144840649318225287225658788936804267575313519463743609750303402022
"""A coordinate y of the points of order 8."""
SMALL_ORDER = frozenset({0, 1, _P - 1, _EIGHTH, _P - _EIGHTH})
"""Coordinates y of all points of order 1, 2, 4 and 8: under such a key, one signature verifies for any text."""
PASSPHRASE = "ATOLL_KEY_PASSPHRASE"
"""Names the variable with the passphrase of the private key; with ``_FILE``, of a file whose first line it is."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An owner's public key.

    Attributes:
        raw: 32 bytes; neither a point of small order nor in a form other than RFC 8032's.
    """

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != 32:
            raise ConfigError(f"an Ed25519 public key has 32 bytes, not {len(self.raw)}")
        y = int.from_bytes(self.raw, "little") & (2**255 - 1)  # the bit above is the sign of x
        if y >= _P:
            raise ConfigError("a public key has one form, and this is another one of the same point: it is made up")
        if y in SMALL_ORDER:
            raise ConfigError("the public key is a point of small order, under which anybody's signature verifies")

    @classmethod
    def from_hex(cls, text: str) -> "PublicKey":
        """Read 64 lower-case hexadecimal digits.

        Raises:
            ConfigError: it is something else.
        """
        if not _HEX.fullmatch(text):
            raise ConfigError(f"a public key is 64 lower-case hexadecimal digits, not {text[:80]!r}")
        return cls(bytes.fromhex(text))

    @classmethod
    def load(cls, path: Path) -> "PublicKey":
        """Read a file that holds the hexadecimal digits.

        Raises:
            ConfigError: the file is missing or holds something else.
        """
        try:
            with path.open("rb") as handle:
                return cls.from_hex(handle.read(4096).decode("ascii").strip())
        except OSError as error:
            raise ConfigError(f"{path}: no public key can be read here ({error.strerror})") from error
        except (UnicodeDecodeError, ConfigError) as error:
            raise ConfigError(f"{path}: holds no public key of 64 hexadecimal digits; name the `.pub` file") from error

    def save(self, path: Path) -> None:
        """Write :attr:`hex` and a line end, where no file is.

        Raises:
            ConfigError: a file is there, or it cannot be written.
        """
        _save(path, f"{self.hex}\n".encode(), 0o644)

    @property
    def hex(self) -> str:
        """64 hexadecimal digits."""
        return self.raw.hex()

    @property
    def fingerprint(self) -> str:
        """Half of the key's SHA-256 in groups of four digits, to be compared by eye or read out on the telephone."""
        digits = hashlib.sha256(self.raw).hexdigest()[:32]
        return "-".join(digits[start : start + 4] for start in range(0, 32, 4))

    def verify(self, signature: bytes, data: bytes) -> bool:
        """Whether the owner of this key signed ``data``."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, data)
        except (InvalidSignature, ValueError):
            return False
        return True


class Signer(Protocol):
    """Whatever signs for somebody: a key in a file, or one that a token holds and never shows."""

    @property
    def public(self) -> PublicKey:
        """The public half."""

    def sign(self, data: bytes) -> bytes:
        """64 bytes; the same data gives the same signature (RFC 8032, section 5.1.6)."""


@dataclass(frozen=True, slots=True, repr=False)
class OwnerKey:
    """An owner's private key in a file; it never leaves the owner's machine."""

    _private: Ed25519PrivateKey

    @classmethod
    def generate(cls) -> "OwnerKey":
        """A new key, from the system's randomness."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, path: Path, passphrase: bytes | None = None) -> "OwnerKey":
        """Read a PEM file (PKCS #8).

        Args:
            path: The file.
            passphrase: Of the file; by default that of the environment, :func:`passphrase_here`.

        Raises:
            ConfigError: missing, no Ed25519 private key, or not the passphrase.
        """
        try:
            pem = path.read_bytes()
        except OSError as error:
            raise ConfigError(
                f"{path}: no key to read ({error.strerror}); `atoll expert key new {path}` makes one"
            ) from error
        protected = b"BEGIN ENCRYPTED PRIVATE KEY" in pem
        word = (passphrase or passphrase_here()) if protected else None
        if protected and not word:
            raise ConfigError(f"{path}: is protected by a passphrase; give it in {PASSPHRASE} or {PASSPHRASE}_FILE")
        try:
            private = serialization.load_pem_private_key(pem, password=word)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            why = "cannot be read with that passphrase" if protected else "is no PEM private key"
            raise ConfigError(f"{path}: {why}; `atoll expert key new` makes one") from error
        if not isinstance(private, Ed25519PrivateKey):
            raise ConfigError(f"{path}: is a private key, but not Ed25519; `atoll expert key new` makes one")
        return cls(private)

    def save(self, path: Path, passphrase: bytes | None = None, *, overwrite: bool = False) -> None:
        """Write a PEM file that only this user can read.

        Args:
            path: The file.
            passphrase: To protect it with; none for none.
            overwrite: Whether a file that is there may be replaced.

        Raises:
            ConfigError: a file is there, or it cannot be written.
        """
        protection: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if passphrase:
            protection = serialization.BestAvailableEncryption(passphrase)
        pem = self._private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection)
        _save(path, pem, 0o600, overwrite=overwrite)

    @property
    def public(self) -> PublicKey:
        """The public half."""
        return PublicKey(self._private.public_key().public_bytes_raw())

    def sign(self, data: bytes) -> bytes:
        """64 bytes; the same data gives the same signature."""
        return self._private.sign(data)

    def __repr__(self) -> str:
        return f"OwnerKey({self.public.fingerprint})"


def passphrase_here() -> bytes | None:
    """The passphrase that the environment gives, in a variable or in a file that one names; ``None`` for none.

    Raises:
        ConfigError: the file cannot be read.
    """
    if named := os.environ.get(f"{PASSPHRASE}_FILE"):
        try:
            return Path(os.path.expanduser(named)).read_bytes().split(b"\n", 1)[0].rstrip(b"\r") or None
        except OSError as error:
            raise ConfigError(
                f"{named}: {PASSPHRASE}_FILE names it, and it cannot be read ({error.strerror})"
            ) from error
    return os.environ.get(PASSPHRASE, "").encode() or None


def is_protected(path: Path) -> bool:
    """Whether a private key's file needs a passphrase."""
    return path.exists() and b"BEGIN ENCRYPTED PRIVATE KEY" in path.read_bytes()


def _save(path: Path, data: bytes, mode: int, *, overwrite: bool = False) -> None:
    try:
        write_atomic(path, data, mode=mode, overwrite=overwrite)
    except FileExistsError as error:
        raise ConfigError(f"{path}: is there already and a key is never overwritten; choose another name") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror})") from error
