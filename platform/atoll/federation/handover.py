"""What people hand to each other as small files: a coordinator's invitation, an owner's enrolment and statements."""

from dataclasses import dataclass

from atoll.experts.documents import SignedDocument, document_kind
from atoll.experts.statements import Enrolment, Statement

__all__ = ["Enrolment", "Invitation", "Paper", "SignedDocument", "Statement", "document_kind", "paper_kind"]

Paper = SignedDocument
paper_kind = document_kind


@dataclass(frozen=True, kw_only=True)
class Invitation(SignedDocument):
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
