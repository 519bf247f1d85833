"""Facts about copies of experts: where they were made, that they were erased, and why one still is there."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from atoll.experts.erasure import ErasureStatement
from atoll.ledger.fact import Fact, SignedFact, known_fact, read_document


@known_fact
@dataclass(frozen=True, kw_only=True)
class CopyMade(Fact):
    """Atoll wrote experts somewhere where nobody would look for them.

    Packages, releases and what was sent to nodes need no such entry: other facts say where they are.

    Attributes:
        what: ``export``, ``backup`` or ``tracked``.
        where: Absolute path.
        machine: Name of the machine on which that is.
        experts: Digests of the experts in it.
        content: Digest of what was written, by which it is known again; empty where it can't be told.
    """

    kind: ClassVar[str] = "copy-made"
    what: str
    where: str
    machine: str
    experts: list[str]
    content: str = ""


@known_fact
@dataclass(frozen=True, kw_only=True)
class CopyErased(SignedFact):
    """A holder says that copies of an expert are gone (:class:`ErasureStatement`)."""

    kind: ClassVar[str] = "copy-erased"

    def read(self) -> ErasureStatement:
        """The holder's word, its signature verified."""
        return read_document(self.document, ErasureStatement)


@known_fact
@dataclass(frozen=True, kw_only=True)
class CopyRemains(Fact):
    """A copy could not be erased.

    Attributes:
        holder: ``coordinator``, or the owner whose node holds it.
        expert: Digest of the package.
        copy: Which, as :class:`ErasureStatement` names it.
        why: What stood in the way.
    """

    kind: ClassVar[str] = "copy-remains"
    holder: str
    expert: str
    copy: str
    why: str


@known_fact
@dataclass(frozen=True, kw_only=True)
class ExpertSucceeded(Fact):
    """An expert was trained anew without some records of the one before it; its owner's package says so.

    Attributes:
        owner: Whose.
        expert: Digest of the new package.
        predecessor: Digest of the one before, which had seen them.
        forgotten: How many records.
    """

    kind: ClassVar[str] = "expert-succeeded"
    owner: str
    expert: str
    predecessor: str
    forgotten: int


@dataclass(frozen=True, slots=True)
class Erased:
    """That copies are gone.

    Attributes:
        at: When it was written down.
        statement: The holder's.
    """

    at: datetime
    statement: ErasureStatement


@dataclass(slots=True)
class Copies:
    """What is known of copies of experts.

    Attributes:
        made: Exports, backups and tracking stores, in order.
        sent: To whom each blob was sent, with when it was sent last: by blob and owner.
        erased: Who erased what, by (holder, expert, copy).
        remains: What could not be erased, since when, and why, by (holder, expert, copy).
        successors: By the digest of the expert that came after another.
    """

    made: list[CopyMade] = field(default_factory=list)
    sent: dict[str, dict[str, datetime]] = field(default_factory=dict)
    erased: dict[tuple[str, str, str], Erased] = field(default_factory=dict)
    remains: dict[tuple[str, str, str], tuple[datetime, str]] = field(default_factory=dict)
    successors: dict[str, ExpertSucceeded] = field(default_factory=dict)
