"""Whose a key is: rotations by the owner itself, and the words of members and authorities for it."""

from dataclasses import dataclass
from typing import ClassVar

from atoll.experts.identity import CertifiedKey, CoSignature
from atoll.experts.statements import KeyRotation
from atoll.ledger.fact import SignedFact, known_fact


@known_fact
@dataclass(frozen=True, kw_only=True)
class KeyRotated(SignedFact):
    """Another key of an owner takes over, signed by the one before.

    Attributes:
        until: ISO date, the last day on which new experts and permissions are taken under the new key; empty for no
            end.
    """

    kind: ClassVar[str] = "key-rotated"
    reads: ClassVar[type[KeyRotation]] = KeyRotation
    until: str = ""

    def read(self) -> KeyRotation:
        """The rotation, its signatures verified."""
        found = super().read()
        assert isinstance(found, KeyRotation)
        return found


@known_fact
@dataclass(frozen=True, kw_only=True)
class KeyCosigned(SignedFact):
    """A member vouches for a key."""

    kind: ClassVar[str] = "key-cosigned"
    reads: ClassVar[type[CoSignature]] = CoSignature

    def read(self) -> CoSignature:
        """The member's word, its signature verified."""
        found = super().read()
        assert isinstance(found, CoSignature)
        return found


@known_fact
@dataclass(frozen=True, kw_only=True)
class KeyCertified(SignedFact):
    """An owner shows its institution's certificate for its key."""

    kind: ClassVar[str] = "key-certified"
    reads: ClassVar[type[CertifiedKey]] = CertifiedKey

    def read(self) -> CertifiedKey:
        """The owner's word and the certificate's, both verified."""
        found = super().read()
        assert isinstance(found, CertifiedKey)
        return found
