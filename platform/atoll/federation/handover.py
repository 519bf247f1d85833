"""What people hand to each other as small files: a coordinator's invitation, an owner's enrolment and statements."""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self, TypeVar

from atoll.config.decode import decode_json
from atoll.errors import ConfigError, DataError, FederationError, PackageError
from atoll.experts.checks import SLUG
from atoll.experts.files import read_bounded, write_atomic
from atoll.experts.signing import OwnerKey, PublicKey

_DOMAIN = b"atoll handover 1\n"
_LIMIT = 1 << 20
T = TypeVar("T", bound="Paper")


@dataclass(frozen=True, kw_only=True)
class Paper:
    """Base: JSON that a person can read, signed by the key that it names.

    Attributes:
        public_key: Hex of the signer's Ed25519 key.
        signature: Hex, over everything else.
    """

    public_key: str
    signature: str = ""

    def signed(self, key: OwnerKey) -> Self:
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
        """With what it is, so that one paper cannot pass for another."""
        return json.dumps({"paper": type(self).__name__, **asdict(self)}, indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read and check the signature.

        Raises:
            FederationError: it is something else, or its signature does not fit.
        """
        try:
            fields: Any = json.loads(text)
            if not isinstance(fields, dict) or fields.pop("paper", None) != cls.__name__:
                raise DataError(f"it is no {cls.__name__}")
            made = decode_json(json.dumps(fields), cls, cls.__name__)
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

    def _content(self) -> bytes:
        fields = {name: value for name, value in asdict(self).items() if name != "signature"}
        text = json.dumps({"paper": type(self).__name__, **fields}, sort_keys=True, separators=(",", ":"))
        return _DOMAIN + hashlib.sha256(text.encode()).digest()


@dataclass(frozen=True, kw_only=True)
class Invitation(Paper):
    """From an operator to institutions: where the coordinator is, and by what it is known. Nothing in it is secret.

    Attributes:
        address: ``host:port``.
        ca: PEM of who signs its TLS certificate.
        anchor: Name of the anchor, or where it is to be had.
        anchor_digest: Of its weights.
    """

    address: str
    ca: str
    anchor: str
    anchor_digest: str


@dataclass(frozen=True, kw_only=True)
class Enrolment(Paper):
    """From an institution to the operator: admit us. Nothing in it is secret.

    Attributes:
        owner: Short name.
        domain: What its data is about.
        node_key: PEM of the key by which its node will be known.
    """

    owner: str
    domain: str
    node_key: str

    def check(self) -> None:
        """Also that the name can be one."""
        super().check()
        if not SLUG.fullmatch(self.owner):
            raise FederationError(f"'{self.owner[:80]}' cannot be an owner's name")


@dataclass(frozen=True, kw_only=True)
class Statement(Paper):
    """An owner's word on what it permits, from when the coordinator hears it.

    Attributes:
        owner: Who says it.
        number: Counts its statements up from 1.
        expert: Digest of the package; empty for all of them.
        purposes: What it may be used for; none to withdraw it.
        until: ISO date, the last day; ``None`` for no end.
        words: In the owner's words.
    """

    owner: str
    number: int
    expert: str
    purposes: list[str]
    until: str | None
    words: str

    def check(self) -> None:
        """Also that it has a number: one without could be repeated after the owner has said otherwise."""
        super().check()
        if self.number < 1:
            raise FederationError(f"its number is {self.number}; statements count up from 1")


def paper_kind(path: Path) -> str:
    """What a file says it is: the name of a kind of paper, or nothing."""
    try:
        fields = json.loads(read_bounded(path, _LIMIT).decode("utf-8"))
        return str(fields.get("paper", "")) if isinstance(fields, dict) else ""
    except (PackageError, ValueError, RecursionError):
        return ""
