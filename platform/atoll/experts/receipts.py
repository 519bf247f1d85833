"""Receipts: where a coordinator said that its ledger stood. Two of them can prove that it told two histories."""

from dataclasses import dataclass
from datetime import UTC, datetime

from atoll.errors import FederationError
from atoll.experts.checks import DIGEST
from atoll.experts.documents import SignedDocument
from atoll.experts.signing import Signer


@dataclass(frozen=True, kw_only=True)
class Receipt(SignedDocument):
    """Signed by a coordinator: its ledger's head at a time, for an owner to keep.

    The digest stands for the whole history up to it; whoever changes, cuts or forks that must break a receipt.

    Attributes:
        owner: To whom it is given; empty for the coordinator's own copy.
        sequence: How many events there are.
        digest: Of the last one.
        at: When, ISO 8601 with a zone; never before the last event.
        heard: Number up to which the owner's statements were heard, none missing.
    """

    owner: str
    sequence: int
    digest: str
    at: str
    heard: int

    @property
    def head(self) -> str:
        """``NUMBER:DIGEST``, as ``atoll ledger verify --head`` takes it."""
        return f"{self.sequence}:{self.digest}"

    @property
    def time(self) -> datetime:
        """``at``, with its zone."""
        return datetime.fromisoformat(self.at)

    def check(self) -> None:
        """Also that its numbers and its time can be."""
        super().check()
        try:
            zoned = self.time.tzinfo is not None
        except ValueError:
            zoned = False
        if not zoned or self.sequence < 0 or self.heard < 0 or not DIGEST.fullmatch(self.digest):
            raise FederationError("it names no head of a ledger, or no moment")


def sign_receipt(key: Signer, owner: str, sequence: int, digest: str, at: datetime, heard: int) -> Receipt:
    """A receipt of the coordinator whose key this is."""
    unsigned = Receipt(
        public_key=key.public.hex,
        owner=owner,
        sequence=sequence,
        digest=digest,
        at=at.astimezone(UTC).isoformat(timespec="microseconds"),
        heard=heard,
    )
    return unsigned.signed(key)


def contradiction(one: Receipt, other: Receipt) -> str:
    """What two receipts of one coordinator prove; empty where both can be of one history that only grew.

    Raises:
        FederationError: they are of two coordinators.
    """
    if one.public_key != other.public_key:
        raise FederationError("the receipts are signed by two different coordinators; they prove nothing together")
    if one.sequence == other.sequence and one.digest != other.digest:
        return f"a fork: event {one.sequence} is {one.digest} in one history, and {other.digest} in the other"
    earlier, later = sorted((one, other), key=lambda receipt: receipt.time)
    if later.sequence < earlier.sequence and later.time > earlier.time:
        return (
            f"a rollback: {earlier.sequence} events were there at {earlier.at}, and {later.sequence} at {later.at}, "
            "which is later"
        )
    return ""
