"""What a package's signature covers, without the package: its manifest, its card, and the signature over both."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from atoll.errors import PackageError
from atoll.experts.card import ExpertCard
from atoll.experts.signing import PublicKey

CARD = "card.yaml"
SIGNATURE_DOMAIN = b"atoll expert signature 1\n"
_DIGEST_DOMAIN = b"atoll expert package 1\n"
_LINE = re.compile(r"(?P<name>[a-z0-9_]{1,64}\.(?:yaml|json|safetensors)) (?P<size>[0-9]+) (?P<sha256>[0-9a-f]{64})")


def manifest_of(members: Mapping[str, tuple[int, str]]) -> str:
    """A package's manifest: a line ``NAME SIZE SHA256`` for every member but the signature, by name.

    Args:
        members: Size in bytes and SHA-256 in hexadecimal digits, by name.
    """
    return "".join(f"{name} {members[name][0]} {members[name][1]}\n" for name in sorted(members))


def manifest_digest(manifest: str) -> str:
    """``sha256:…`` of a manifest, which is the package's content digest."""
    return f"sha256:{hashlib.sha256(_DIGEST_DOMAIN + manifest.encode()).hexdigest()}"


@dataclass(frozen=True, kw_only=True, slots=True)
class SignedCard:
    """An expert's card as its owner signed it: what stays provable of a package that is no longer at hand.

    Attributes:
        card: The text of ``card.yaml``.
        manifest: The package's manifest, which names the card's digest.
        signature: Hex of the owner's signature over the manifest's digest.
    """

    card: str
    manifest: str
    signature: str

    @property
    def digest(self) -> str:
        """The package's content digest."""
        return manifest_digest(self.manifest)

    def verify(self, key: PublicKey) -> ExpertCard:
        """The card, if its owner signed it.

        Args:
            key: The owner's.

        Raises:
            PackageError: the manifest does not name this card, or this key did not sign the manifest.
        """
        lines = [_LINE.fullmatch(line) for line in self.manifest.splitlines()]
        named = {line["name"]: (int(line["size"]), line["sha256"]) for line in lines if line is not None}
        if None in lines or manifest_of(named) != self.manifest:
            raise PackageError("the manifest is not as a package's manifest is written")
        raw = self.card.encode()
        if named.get(CARD) != (len(raw), hashlib.sha256(raw).hexdigest()):
            raise PackageError("the card is not the one that the manifest names")
        try:
            signature = bytes.fromhex(self.signature)
        except ValueError as error:
            raise PackageError("the signature is not written in hexadecimal digits") from error
        if not key.verify(signature, SIGNATURE_DOMAIN + self.digest.encode()):
            raise PackageError(f"the package's signature is not of {key.fingerprint}")
        return ExpertCard.from_yaml(raw)
