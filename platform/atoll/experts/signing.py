"""Owners' keys: Ed25519 (RFC 8032), by the ``cryptography`` package."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from atoll.errors import ConfigError
from atoll.experts.files import write_atomic

_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An owner's public key.

    Attributes:
        raw: 32 bytes.
    """

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != 32:
            raise ConfigError(f"an Ed25519 public key has 32 bytes, not {len(self.raw)}")

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


@dataclass(frozen=True, slots=True, repr=False)
class OwnerKey:
    """An owner's private key; it never leaves the owner's machine."""

    _private: Ed25519PrivateKey

    @classmethod
    def generate(cls) -> "OwnerKey":
        """A new key, from the system's randomness."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, path: Path) -> "OwnerKey":
        """Read a PEM file (PKCS #8, no password).

        Raises:
            ConfigError: missing, or no Ed25519 private key.
        """
        try:
            private = serialization.load_pem_private_key(path.read_bytes(), password=None)
        except OSError as error:
            raise ConfigError(
                f"{path}: no key to read ({error.strerror}); `atoll expert key new {path}` makes one"
            ) from error
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise ConfigError(
                f"{path}: is no PEM private key without a password; `atoll expert key new` makes one"
            ) from error
        if not isinstance(private, Ed25519PrivateKey):
            raise ConfigError(f"{path}: is a private key, but not Ed25519; `atoll expert key new` makes one")
        return cls(private)

    def save(self, path: Path) -> None:
        """Write a PEM file that only this user can read, where no file is.

        Raises:
            ConfigError: a file is there, or it cannot be written.
        """
        pem = self._private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        _save(path, pem, 0o600)

    @property
    def public(self) -> PublicKey:
        """The public half."""
        return PublicKey(self._private.public_key().public_bytes_raw())

    def sign(self, data: bytes) -> bytes:
        """64 bytes; the same data gives the same signature."""
        return self._private.sign(data)

    def __repr__(self) -> str:
        return f"OwnerKey({self.public.fingerprint})"


def _save(path: Path, data: bytes, mode: int) -> None:
    try:
        write_atomic(path, data, mode=mode, overwrite=False)
    except FileExistsError as error:
        raise ConfigError(f"{path}: is there already and a key is never overwritten; choose another name") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror})") from error
