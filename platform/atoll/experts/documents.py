"""Documents that people hand to each other and ledgers keep: JSON that anyone can read, signed by the key it names."""

import hashlib
import json
from dataclasses import MISSING, asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

from atoll.config.decode import FOREIGN, decode_json
from atoll.errors import ConfigError, DataError, FederationError, PackageError
from atoll.experts.files import read_bounded, write_atomic
from atoll.experts.signing import PublicKey, Signer

_DOMAIN = b"atoll handover 1\n"
_LIMIT = 1 << 20


@dataclass(frozen=True, kw_only=True)
class SignedDocument:
    """Base: JSON that a person can read, signed by the key that it names.

    A field that a later version adds has a default, and is neither written nor signed while it has it: so documents of
    earlier versions verify.

    Attributes:
        public_key: Hex of the signer's Ed25519 key.
        signature: Hex, over everything else.
    """

    public_key: str
    signature: str = ""

    def signed(self, key: Signer) -> Self:
        """With a signature."""
        return replace(self, signature=key.sign(self._content()).hex())

    def check(self) -> None:
        """Raise FederationError where it was changed after it was signed, or is forged."""
        try:
            sound = PublicKey.from_hex(self.public_key).verify(bytes.fromhex(self.signature), self._content())
        except (ValueError, ConfigError):
            sound = False
        if not sound:
            raise FederationError("its signature does not fit: it was changed on the way, or is forged; ask again")

    def to_json(self) -> str:
        """With its type's name, so that one document cannot pass for another."""
        return json.dumps(self._fields(), indent=2, sort_keys=True) + "\n"

    def to_line(self) -> str:
        """:meth:`to_json` in one line without a line's end, as a ledger or a message holds it."""
        return json.dumps(self._fields(), sort_keys=True, separators=(",", ":"))

    @property
    def content_digest(self) -> str:
        """``sha256:…`` of all that is signed."""
        return f"sha256:{self._content().removeprefix(_DOMAIN).hex()}"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read and check the signature.

        Raises:
            FederationError: it is something else, or its signature does not fit.
        """
        try:
            found: Any = json.loads(text)
            if not isinstance(found, dict) or found.pop("paper", None) != cls.__name__:
                raise DataError(f"it is no {cls.__name__}")
            made = decode_json(json.dumps(found), cls, cls.__name__, FOREIGN)
        except (DataError, ValueError, RecursionError) as error:
            raise FederationError(f"cannot be read: {error}") from error
        assert isinstance(made, cls)
        made.check()
        return made

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file.

        Raises:
            FederationError: it cannot be read, or is not what it should be; the message names the file.
        """
        try:
            return cls.from_json(read_bounded(path, _LIMIT).decode("utf-8"))
        except (PackageError, UnicodeDecodeError) as error:
            raise FederationError(f"{path}: {error}") from error
        except FederationError as error:
            raise FederationError(f"{path}: {error}") from error

    def save(self, path: Path) -> None:
        """Write a file, whole or not at all."""
        write_atomic(path, self.to_json().encode())

    def _fields(self) -> dict[str, Any]:
        """All that is set, and what it is."""
        left = {
            each.name
            for each in fields(self)
            if each.default is not MISSING and getattr(self, each.name) == each.default
        }
        kept = {name: value for name, value in asdict(self).items() if name not in left}
        return {"paper": type(self).__name__, **kept}

    def _content(self) -> bytes:
        signed = {name: value for name, value in self._fields().items() if name != "signature"}
        text = json.dumps(signed, sort_keys=True, separators=(",", ":"))
        return _DOMAIN + hashlib.sha256(text.encode()).digest()


def document_kind(path: Path) -> str:
    """What a file says it is: the name of a kind of document, or nothing."""
    try:
        found = json.loads(read_bounded(path, _LIMIT).decode("utf-8"))
        return str(found.get("paper", "")) if isinstance(found, dict) else ""
    except (PackageError, ValueError, RecursionError):
        return ""
