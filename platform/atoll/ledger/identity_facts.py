"""Whose a key is: rotations by the owner itself, and the words of members and authorities for it."""

from dataclasses import dataclass
from typing import ClassVar

from atoll.experts.identity import CertifiedKey, CoSignature
from atoll.experts.statements import KeyRotation
from atoll.ledger.fact import SignedFact, known_fact, read_document


@known_fact
@dataclass(frozen=True, kw_only=True)
class KeyRotated(SignedFact):
    """Another key of an owner takes over, signed by the one before.

    Attributes:
        until: ISO date, the last day on which new experts and permissions are taken under the new key; empty for no
            end.
    """

    kind: ClassVar[str] = "key-rotated"
    until: str = ""

    def read(self) -> KeyRotation:
        """The rotation, its signatures verified."""
        return read_document(self.document, KeyRotation)


@known_fact
@dataclass(frozen=True, kw_only=True)
class KeyCosigned(SignedFact):
    """A member vouches for a key."""

    kind: ClassVar[str] = "key-cosigned"

    def read(self) -> CoSignature:
        """The member's word, its signature verified."""
        return read_document(self.document, CoSignature)


@known_fact
@dataclass(frozen=True, kw_only=True)
class KeyCertified(SignedFact):
    """An owner shows its institution's certificate for its key."""

    kind: ClassVar[str] = "key-certified"

    def read(self) -> CertifiedKey:
        """The owner's word and the certificate's, both verified."""
        return read_document(self.document, CertifiedKey)
