"""What owners sign: the request to be admitted, and their statements on consent."""

from dataclasses import dataclass

from atoll.errors import FederationError
from atoll.experts.checks import SLUG
from atoll.experts.documents import SignedDocument


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
