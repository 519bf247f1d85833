"""What owners sign: the request to be admitted, and their statements on consent."""

import json
from dataclasses import dataclass

from atoll.errors import ConfigError, FederationError
from atoll.experts.checks import SLUG
from atoll.experts.documents import SignedDocument
from atoll.experts.signing import PublicKey, Signer


@dataclass(frozen=True, kw_only=True)
class Enrolment(SignedDocument):
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
class Statement(SignedDocument):
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


@dataclass(frozen=True, kw_only=True)
class KeyRotation(SignedDocument):
    """An owner's word that another key takes over from the one that signs this.

    Attributes:
        owner: Who says it.
        new_key: Hex of the key that is in force from then on; one that was ever in force comes back never.
        proof: Hex of the new key's signature over :func:`rotation_text`: nobody takes over another's key.
    """

    owner: str
    new_key: str
    proof: str

    def check(self) -> None:
        """Also that the new key is another one and signed too."""
        super().check()
        text = rotation_text(self.owner, self.public_key, self.new_key)
        try:
            sound = PublicKey.from_hex(self.new_key).verify(bytes.fromhex(self.proof), text)
        except (ValueError, ConfigError):
            sound = False
        if not sound or self.new_key == self.public_key:
            raise FederationError("the new key did not sign that it takes over, or is the old one")


def rotation_text(owner: str, old_key: str, new_key: str) -> bytes:
    """What the new key of an owner signs when it takes over from the old one."""
    return b"atoll key rotation 1\n" + json.dumps([owner, old_key, new_key]).encode()


def rotation(owner: str, old: Signer, new: Signer) -> KeyRotation:
    """The document by which one key takes over from another."""
    proof = new.sign(rotation_text(owner, old.public.hex, new.public.hex)).hex()
    unsigned = KeyRotation(public_key=old.public.hex, owner=owner, new_key=new.public.hex, proof=proof)
    return unsigned.signed(old)
