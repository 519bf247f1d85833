"""Answers a coordinator's messages: who asks, whether it may, and what leaves is written down first."""

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from flwr.app import Error, Message
from flwr.common.constant import ErrorCode

from atoll.clients.gate.alarms import Alarms
from atoll.clients.gate.failure_codes import POLICY, RequestError, outward
from atoll.clients.gate.instances import Instances
from atoll.clients.gate.offers import offers
from atoll.clients.gate.outbox import Outbox, sent
from atoll.clients.gate.policy import Policy, Refusal
from atoll.clients.gate.receipts import Receipts
from atoll.clients.gate.statements import Statements
from atoll.clients.gate.works import Works
from atoll.clients.owner_keys import OwnerKeys
from atoll.errors import AtollError, ConfigError, FederationError
from atoll.experts.erasure import ErasureStatement
from atoll.experts.signing import PublicKey, Signer
from atoll.federation.envelope import seal, unseal
from atoll.federation.protocol import UNVERSIONED, agree
from atoll.federation.talk import (
    ERASE,
    FETCH,
    HELLO,
    STORE,
    WORK,
    Erase,
    EraseReply,
    Fetch,
    FetchReply,
    Hello,
    HelloReply,
    Question,
    Reply,
    Request,
    Store,
    StoreReply,
    UnversionedHelloReply,
    Work,
)
from atoll.federation.units import Unit

log = logging.getLogger(__name__)
_PIECE = 32 << 20
_LONGEST_WAIT, _LOOK = 25.0, 0.25
"""Seconds for which a hello is held back at most, and between looks for a statement meanwhile."""
_US, _THEM = "this node", "the coordinator"
Body = TypeVar("Body", bound=Unit)
Asked = TypeVar("Asked", bound=Question)


class Gate:
    """One institution's. Everything that leaves is an answer of this class."""

    def __init__(self, folder: Path, owner: str, key: Signer, policy: Callable[[], Policy]) -> None:
        """Open the node's outbox and the work that it has taken on.

        Args:
            folder: The node's.
            owner: Whose it is.
            key: The owner's; signs all answers.
            policy: The rules as they are now: a changed file counts from the next message on.
        """
        self._owner, self._key, self._policy = owner, key, policy
        self._outbox = Outbox(folder / "outbox.jsonl")
        self._statements = Statements(folder / "statements", owner, key)
        self._folder = folder
        self._alarms = Alarms(folder)
        self._instances = Instances(folder, self._alarms)
        self._receipts = Receipts(folder, owner, self._alarms)
        self._heads = folder / "receipts.log"
        self.stopping = threading.Event()
        """Set to end: nobody waits any more."""
        self._waiting = 0
        self.works = Works(folder, owner, policy, key)
        self._folder = folder
        self._lock = threading.Lock()
        self._last_policy: Policy | None = None

    def handle(self, message: Message) -> Message:
        """The answer to a message; a hello may wait for it until the owner states something."""
        try:
            with self._lock:
                request, chunk, signer = self._read(message)
            self._wait(request)
            with self._lock:
                self._expect_new(request)
                return self._answer(message, request, chunk, signer)
        except AtollError as error:
            # Whom it came from is not known, so it learns no more than that.
            log.warning("a message is refused: %s", error)
            return Message(Error(ErrorCode.MOD_FAILED_PRECONDITION, "refused"), reply_to=message)

    def _read(self, message: Message) -> tuple[Request, bytes, PublicKey]:
        """What is asked, the piece that came along, and who asks.

        Raises:
            AtollError: it is not a coordinator's question to this node, or was answered before.
        """
        if not message.has_content():
            raise FederationError("it has no content")
        text, chunk, signer = unseal(message.content)
        request = Request.from_json(text)
        self._expect_coordinator(signer)
        if request.to != self._owner:
            raise Refusal(f"the message is for '{request.to[:80]}', not for '{self._owner}'")
        self._expect_new(request)
        return request, chunk, signer

    def _expect_new(self, request: Request) -> None:
        if self._outbox.answered(request.nonce):
            raise Refusal("the message was answered before; whoever repeats it is not the coordinator")

    def _wait(self, request: Request) -> None:
        """Hold a hello back that asks for it, until there is a statement that the coordinator has not heard."""
        if request.asks != HELLO:
            return
        try:
            hello = Hello.from_json(request.body)
        except FederationError:
            return  # answered as such
        self._waiting += 1
        mine, end = self._waiting, time.monotonic() + min(hello.wait, _LONGEST_WAIT)
        # A later one takes its place: only one is held back.
        while mine == self._waiting and time.monotonic() < end and not self.stopping.wait(_LOOK):
            if self._statements.unheard(hello.statements, hello.heard):
                return

    def _expect_coordinator(self, signer: PublicKey) -> None:
        """Raise Refusal for a stranger. Where the policy cannot be read, the last one says to whom that may be told."""
        try:
            self._last_policy = self._policy()
        except ConfigError:
            if self._last_policy is None:
                raise
        self._last_policy.allow_coordinator(signer)

    def _readable_policy(self, request: Request) -> Policy:
        """The policy as it is now; for a hello, by which a withdrawal is heard, the last that could be read."""
        try:
            return self._policy()
        except ConfigError as error:
            if request.asks == HELLO and self._last_policy is not None:
                return self._last_policy
            raise RequestError(outward(error, "the policy", POLICY)) from error

    def _answer(self, message: Message, request: Request, chunk: bytes, signer: PublicKey) -> Message:
        to = signer.fingerprint
        piece, blob, offset = b"", "", 0
        try:
            policy = self._readable_policy(request)
            body, piece = self._body(request, chunk, signer)
            if piece:
                fetch = Fetch.from_json(request.body)
                blob, offset = fetch.blob, fetch.offset
            reply = Reply(owner=self._owner, nonce=request.nonce, body=body.to_json())
            policy.allow_bytes(len(reply.to_json().encode()) + len(piece), self._outbox.today())
        except (AtollError, OSError) as error:
            why = outward(error, request.asks[:40])
            piece, blob, reply = b"", "", Reply(owner=self._owner, nonce=request.nonce, refused=why)
        text = reply.to_json()
        self._outbox.write(sent(to, request.asks, request.nonce, text, piece, blob, offset))
        self._keep_receipt(request.head, signer)
        return Message(seal(text, self._key, piece), reply_to=message)

    def _body(self, request: Request, chunk: bytes, signer: PublicKey) -> tuple[Unit, bytes]:
        if request.asks == HELLO:
            return self._hello(_read(Hello, request), signer), b""
        if request.asks == WORK:
            return self.works.ask(_agreed(_read(Work, request))), b""
        if request.asks == FETCH:
            return self._fetch(_agreed(_read(Fetch, request)))
        if request.asks == STORE:
            return self._store(_agreed(_read(Store, request)), chunk), b""
        if request.asks == ERASE:
            return self._erase(_agreed(_read(Erase, request))), b""
        raise RequestError(f"'{request.asks[:40]}' is nothing that a node can be asked")

    def _hello(self, hello: Hello, signer: PublicKey) -> Unit:
        if hello.protocol != UNVERSIONED:
            for wrong in self._statements.compare(hello.statements, signer.hex):
                self._alarms.ring(f"{wrong}. Ask its operator; `atoll ledger verify` of the ledger shows who signed")
        statements = self._statements.unheard(hello.statements, hello.heard)
        if hello.protocol == UNVERSIONED and statements:
            # Whoever must upgrade: what an owner says about consent is heard all the same.
            return UnversionedHelloReply(version=version("atoll"), statements=statements)
        protocol = agree(hello.protocol, hello.oldest, us=_US, them=_THEM)
        self._instances.hear(hello.instance, rival=hello.rival)
        self.works.peers.hear(hello.proofs)
        return HelloReply(
            version=version("atoll"),
            statements=statements,
            protocol=protocol,
            instance=self._instances.current,
            earlier=self._instances.earlier,
            receipt=self._receipts.newest(signer),
            rotations=OwnerKeys(self._folder).rotations(),
            proofs=self.works.peers.heard,
            offers=offers(self._folder),
        )

    def _fetch(self, fetch: Fetch) -> tuple[Unit, bytes]:
        offered = any(each.blob == fetch.blob for each in offers(self._folder))
        if not offered and not self.works.may_fetch(fetch.blob):
            raise Refusal(f"blob {fetch.blob[:80]} is no result that may leave")
        try:
            path = self.works.outgoing.path(fetch.blob)
        except FederationError as error:
            log.warning("fetch: %s", error)
            raise RequestError(f"blob {fetch.blob[:80]} is not here any more") from error
        with path.open("rb") as handle:
            size = handle.seek(0, 2)
            if not 0 <= fetch.offset <= size or not 0 < fetch.length <= _PIECE:
                raise RequestError(f"a piece has 1 to {_PIECE} bytes, not {fetch.length} from {fetch.offset}")
            handle.seek(fetch.offset)
            return FetchReply(offset=fetch.offset, size=size), handle.read(fetch.length)

    def _store(self, store: Store, chunk: bytes) -> Unit:
        if not self.works.expects(store.blob):
            raise Refusal(f"blob {store.blob[:80]} is not needed here")
        if store.size < 1:
            raise RequestError(f"a blob has at least 1 byte, not {store.size}")
        if store.size > self._policy().max_expert_bytes:
            raise Refusal(f"blob {store.blob[:19]} of {store.size} bytes is larger than the policy's max_expert_bytes")
        partial = self.works.incoming.incoming(store.blob, store.size)
        try:
            partial.add(store.offset, chunk)
        except FederationError as error:
            log.warning("store: %s", error)
            why = "has other content than its name says, or the piece does not follow what is here"
            raise RequestError(f"blob {store.blob[:19]} {why}") from error
        if partial.have == store.size:
            self.works.arrived(store.blob)
        return StoreReply(have=partial.have)

    def _erase(self, erase: Erase) -> Unit:
        """Erase another owner's expert; this owner's own is its own, whatever anyone says."""
        if self.works.outgoing.there(erase.blob):
            raise Refusal(f"blob {erase.blob[:19]} is this owner's own; nobody else has it erased")
        self.works.erase(erase.blob)
        at = datetime.now(UTC).isoformat(timespec="microseconds")
        said = ErasureStatement(
            public_key=self._key.public.hex,
            holder=self._owner,
            expert=erase.expert,
            copies=[f"blob {erase.blob}"],
            at=at,
        )
        log.info("erased what was here of the expert %s, which its owner has withdrawn", erase.expert[:19])
        return EraseReply(statement=said.signed(self._key).to_line())

    def _keep_receipt(self, head: str, signer: PublicKey) -> None:
        """Keep what the coordinator signed of its ledger: if that is rewritten later, this proves it."""
        if head.startswith("{"):
            self._receipts.keep(head, signer)
        elif head:
            last = self._heads.read_text("utf-8").splitlines()[-1:] if self._heads.exists() else []
            if last != [head]:
                with self._heads.open("a", encoding="utf-8") as handle:
                    handle.write(head + "\n")


def _read(kind: type[Body], request: Request) -> Body:
    """The body of a request."""
    try:
        return kind.from_json(request.body)
    except FederationError as error:
        raise RequestError(str(error)) from error


def _agreed(question: Asked) -> Asked:
    """The question, where it is in a protocol that this node uses."""
    agree(question.protocol, question.protocol, us=_US, them=_THEM)
    return question
