"""What a coordinator and a node say to each other while both are up: short questions, answered at once.

Work that takes hours is not inside a message: it is started by one, goes on in the node whatever happens to the
connection, and is asked after by repeating the same message.
"""

import json
from dataclasses import dataclass, field, replace
from typing import Self

from atoll.federation.protocol import OLDEST, PROTOCOL, UNVERSIONED
from atoll.federation.units import Unit

HELLO, WORK, FETCH, STORE, ERASE = "hello", "work", "fetch", "store", "erase"
QUEUED, WORKING, DONE, FAILED, REFUSED = "queued", "working", "done", "failed", "refused"


@dataclass(frozen=True, kw_only=True)
class Request(Unit):
    """From the coordinator.

    Attributes:
        to: The owner who is meant.
        nonce: Never used before.
        asks: ``hello``, ``work``, ``fetch``, ``store`` or ``erase``.
        body: JSON of what is asked.
        head: The receipt that the owner keeps: where the coordinator's ledger stands, signed (one line of a
            :class:`~atoll.experts.receipts.Receipt`). Of protocol 1, ``number:digest``.
    """

    to: str
    nonce: str
    asks: str
    body: str
    head: str = ""


@dataclass(frozen=True, kw_only=True)
class Reply(Unit):
    """From an owner.

    Attributes:
        owner: Who answers.
        nonce: Of the request.
        body: JSON of the answer; empty where it is refused.
        refused: Why it is; empty where it is not.
    """

    owner: str
    nonce: str
    body: str = ""
    refused: str = ""


@dataclass(frozen=True, kw_only=True)
class Question(Unit):
    """Base of the bodies of requests.

    Attributes:
        protocol: What it is written in; in a hello, the newest that the coordinator uses.
    """

    protocol: int = PROTOCOL

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read :meth:`to_json`; what names no protocol was written before there were any.

        Raises:
            FederationError: not JSON, an unknown or missing field, a wrong type.
        """
        question = super().from_json(text)
        return question if "protocol" in json.loads(text) else replace(question, protocol=UNVERSIONED)


@dataclass(frozen=True, kw_only=True)
class Hello(Question):
    """Who is there?

    Attributes:
        heard: Number of the owner's last statement that is in the ledger.
        oldest: The oldest protocol that the coordinator uses.
        version: Of the coordinator's Atoll.
        instance: The start of this owner's node that answered last; empty where none has.
        statements: Digests of all statements of the owner that are in the ledger, by number.
        wait: Seconds to wait with the answer for the owner to state something; 0 to answer at once.
        proofs: Documents that say whose a key is, signed by who says so; none where the node has them.
        rival: Whether another node tried to connect with this node's key while it was connected.
    """

    heard: int = 0
    oldest: int = OLDEST
    version: str = ""
    instance: str = ""
    statements: dict[str, str] = field(default_factory=dict)
    wait: float = 0.0
    proofs: list[str] = field(default_factory=list)
    rival: bool = False


@dataclass(frozen=True, kw_only=True)
class UnversionedHello(Unit):
    """The hello of protocol 1: by it an old node's statements on consent are heard, and nothing else is asked of it.

    Attributes:
        heard: As in :class:`Hello`.
    """

    heard: int = 0


@dataclass(frozen=True, kw_only=True)
class UnversionedHelloReply(Unit):
    """A node's answer in protocol 1.

    Attributes:
        version: Of Atoll.
        statements: What the owner has said about consent and the coordinator has not heard yet, as signed JSON.
    """

    version: str
    statements: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Offer(Unit):
    """An expert that was not asked for: the successor of an earlier one.

    Attributes:
        expert: Digest of the package.
        blob: Digest of its file.
        size: In bytes.
    """

    expert: str
    blob: str
    size: int


@dataclass(frozen=True, kw_only=True)
class HelloReply(UnversionedHelloReply):
    """A node is.

    Attributes:
        protocol: The one that it has agreed to.
        instance: This start of the node.
        earlier: The starts of its folder before that.
        receipt: The receipt with the most events that it holds of this coordinator; empty for none.
        rotations: By which the owner's keys took over, each signed by the one before.
        proofs: Digest of the documents on keys that the coordinator sent last.
        offers: Experts that the node was not asked for.
    """

    protocol: int = PROTOCOL
    instance: str = ""
    earlier: list[str] = field(default_factory=list)
    receipt: str = ""
    rotations: list[str] = field(default_factory=list)
    proofs: str = ""
    offers: list[Offer] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Work(Question):
    """Do this, or say how far it is.

    Attributes:
        work: ``train`` or ``evaluate``.
        unit: Content address of the work unit.
        what: The work unit as JSON.
        call: What it serves; a unit that failed is tried again for another call only.
    """

    work: str
    unit: str
    what: str
    call: str = ""


@dataclass(frozen=True, kw_only=True)
class WorkReply(Unit):
    """How far it is.

    Attributes:
        state: ``queued``, ``working``, ``done``, ``failed`` or ``refused``.
        done: Steps done.
        total: Steps in all; 0 where that is not known.
        note: For people; why it failed or is refused.
        result: What was found, as JSON, once it is done.
        blobs: What to fetch: bytes by digest.
        missing: What to send first: digests.
    """

    state: str
    done: int = 0
    total: int = 0
    note: str = ""
    result: str = ""
    blobs: dict[str, int] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Fetch(Question):
    """Send a piece of a blob; it comes as the reply's chunk.

    Attributes:
        blob: Its digest.
        offset: In bytes.
        length: At most so many bytes.
    """

    blob: str
    offset: int
    length: int


@dataclass(frozen=True, kw_only=True)
class FetchReply(Unit):
    """The piece is beside this.

    Attributes:
        offset: Where it begins.
        size: Of the whole blob, in bytes.
    """

    offset: int
    size: int


@dataclass(frozen=True, kw_only=True)
class Store(Question):
    """Keep a piece of a blob; it is the request's chunk. An empty one asks how much is there.

    Attributes:
        blob: Its digest.
        size: Of the whole blob.
        offset: Where the piece begins.
    """

    blob: str
    size: int
    offset: int


@dataclass(frozen=True, kw_only=True)
class StoreReply(Unit):
    """It is kept.

    Attributes:
        have: Bytes from the beginning that are there.
    """

    have: int


@dataclass(frozen=True, kw_only=True)
class Erase(Question):
    """Another owner has withdrawn its expert: erase what is here of it.

    Attributes:
        expert: Digest of the package.
        blob: Digest of its file.
    """

    expert: str
    blob: str


@dataclass(frozen=True, kw_only=True)
class EraseReply(Unit):
    """It is gone.

    Attributes:
        statement: An :class:`~atoll.experts.erasure.ErasureStatement` of this owner's, in one line.
    """

    statement: str
