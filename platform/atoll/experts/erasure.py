"""A holder's word that it has erased its copies of an expert."""

from dataclasses import dataclass

from atoll.errors import FederationError
from atoll.experts.checks import DIGEST, SLUG
from atoll.experts.documents import SignedDocument

COORDINATOR = "coordinator"
"""Name of the holder that is no owner."""


@dataclass(frozen=True, kw_only=True)
class ErasureStatement(SignedDocument):
    """Signed by who held the copies, once they are gone.

    It is a holder's word, and no proof: what someone copied by other means, it does not cover.

    Attributes:
        holder: ``coordinator``, or the owner whose node held them.
        expert: Digest of the package.
        copies: What was erased, in words that are the same every time, such as ``package sha256:…`` or ``release 3``.
        at: When, by the holder's clock: ISO 8601, UTC.
    """

    holder: str
    expert: str
    copies: list[str]
    at: str

    def check(self) -> None:
        """Also that it names a holder, an expert and some copy."""
        super().check()
        if not SLUG.fullmatch(self.holder) or not DIGEST.fullmatch(self.expert) or not self.copies:
            raise FederationError("a statement of erasure must name who erased which copies of which expert")
