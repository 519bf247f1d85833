"""The coordinator's talk with one owner's node: a few short questions at a time, each answered or given up."""

import functools
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

from flwr.app import Message, MessageType
from flwr.serverapp import Grid

from atoll.coordinator.audits import write_audits
from atoll.coordinator.erasure.inventory import to_ask, withdrawn_blobs
from atoll.coordinator.server.accept import accept_statement, expert_facts
from atoll.coordinator.server.history_guard import hear_receipt
from atoll.coordinator.server.measuring import flags, known_only
from atoll.coordinator.server.node_instances import NodeInstances
from atoll.coordinator.server.own_releases import own_trust
from atoll.coordinator.server.owner_keys import follow_rotations
from atoll.coordinator.server.shop import Shop
from atoll.errors import AtollError, FederationError, LedgerError, PackageError
from atoll.experts.erasure import ErasureStatement
from atoll.experts.files import write_atomic
from atoll.experts.identity import proofs_digest
from atoll.experts.package import LIMIT_BYTES
from atoll.experts.signing import PublicKey
from atoll.federation.envelope import seal, unseal
from atoll.federation.handover import Statement
from atoll.federation.measuring import MeasureUnit
from atoll.federation.partial import PartialBlob
from atoll.federation.protocol import UNVERSIONED, ProtocolError, agree, is_unversioned
from atoll.federation.talk import (
    DONE,
    ERASE,
    FAILED,
    FETCH,
    HELLO,
    REFUSED,
    STORE,
    WORK,
    Erase,
    EraseReply,
    Fetch,
    FetchReply,
    Hello,
    HelloReply,
    Offer,
    Reply,
    Request,
    Store,
    StoreReply,
    UnversionedHello,
    UnversionedHelloReply,
    Work,
    WorkReply,
)
from atoll.federation.units import EvaluateReply, TrainReply, TrainUnit, Unit
from atoll.ledger import Fact, OwnerConfirmed, State, Transferred, UnitFinished, UnitIssued
from atoll.ledger.copies import CopyErased, ExpertSucceeded
from atoll.releases.folder import release_folder

log = logging.getLogger(__name__)
_GIVE_UP = 90.0
"""Seconds after which an unanswered question is asked anew."""
_HELLO = 20.0
_ANSWERS = 2
"""Answers to hello after which a node that was connected is still the same one."""
_SOONEST, _LATEST = 1.0, 5.0
"""Seconds between questions after the same work."""
_AFTER_FAILURE = 10.0
_FAILURE = 1000
"""Characters of a failure that are written down."""
_US = "this coordinator"
_WINDOW = 2
"""Pieces of a blob that are on their way at once: what bounds the memory on both sides."""


@dataclass(slots=True)
class _Asked:
    """A question that is out."""

    nonce: str
    asks: str
    at: float
    hear: Callable[[str, bytes], None]
    about: str


class Conversation:
    """With one owner. It keeps nothing that must not be lost: a new one asks again, and finds what is done already."""

    def __init__(self, shop: Shop, grid: Grid, owner: str, node: int) -> None:
        """Nothing is asked yet."""
        self._shop, self._grid, self.owner, self.node = shop, grid, owner, node
        self._instances = NodeInstances(shop.folder.root / "instances.json")
        self._proofs: str | None = None
        self._rival: tuple[str, int] | None = None
        self._has_rival = False
        self._asked: dict[str, _Asked] = {}
        self._due: dict[str, float] = {}
        self._pause: dict[str, float] = {}
        self._receiving: dict[str, _Receiving] = {}
        self._sending: dict[str, _Sending] = {}
        self._refused: set[str] = set()
        self._agreed = False
        """Whether the node uses a protocol that we use; before that is known, it is asked for nothing but that."""

    @property
    def waits_for(self) -> list[str]:
        """Message ids of questions that are out."""
        return list(self._asked)

    def speak(self, state: State) -> None:
        """Ask what is due."""
        now = time.monotonic()
        for identifier, asked in list(self._asked.items()):
            if now - asked.at > _GIVE_UP:
                log.info("%s did not answer '%s' in time; asked again", self.owner, asked.asks, extra=self._extra())
                del self._asked[identifier]
                self._dropped(asked)
        if now >= self._due.get(HELLO, 0) and not self._is_out(HELLO, ""):
            self._due[HELLO] = now + _HELLO
            self._ask(state, HELLO, self._hello(state), self._hear_hello)
        if not self._agreed or state.doubted:
            return
        for (owner, unit), issued in list(state.open.items()):
            if owner == self.owner and now >= self._due.get(unit, 0) and not self._is_out(WORK, unit):
                self._speak_of(state, issued)
        self._ask_to_erase(state, now)
        for blob in self._lost(state):
            self._receiving.setdefault(blob, _Receiving(blob, "", 0))
        for receiving in list(self._receiving.values()):
            self._fetch(state, receiving)
        for sending in list(self._sending.values()):
            self._store(state, sending)

    def _hello(self, state: State) -> Hello:
        """What it is asked first and again: to say what its owner states, as soon as it states something.

        With what it does not know yet of whose the keys of others are.
        """
        owner, proofs = state.owners[self.owner], list(state.proofs)
        lacking = self._proofs is not None and proofs and self._proofs != proofs_digest(proofs)
        return Hello(
            heard=owner.statements,
            version=version("atoll"),
            instance=self._instances.last(self._key(state)),
            statements={str(number): each.content_digest for number, each in sorted(owner.voice.heard.items())},
            wait=_HELLO - 1 if self._agreed else 0.0,
            proofs=proofs if lacking else [],
            rival=self._has_rival,
        )

    def rival(self) -> None:
        """Somebody tried to connect with the key of this node, which is connected: a copy of it, or the node itself
        after a crash; if the connected one goes on answering, it is a copy.
        """
        if self._rival is None:
            self._rival = (self._instances.last(self._key(self._shop.ledger.state())), 0)

    def hear(self, message: Message) -> None:
        """Take an answer in. One that is not this owner's, or not to what was asked, is noted and changes nothing."""
        asked = self._asked.pop(message.metadata.reply_to_message_id, None)
        if asked is None:
            return
        try:
            if message.has_error():
                raise FederationError(message.error.reason or "the node failed without a reason")
            text, chunk, signer = unseal(message.content)
            reply = Reply.from_json(text)
            if reply.owner != self.owner or reply.nonce != asked.nonce:
                raise FederationError("the answer belongs to another question: it was repeated or forged")
            if signer.hex != self._key(self._shop.ledger.state()):
                self._follow_key(asked, reply, signer)
            self._shop.live.seen(self.owner)
            self._shop.live.received(self.owner, len(text.encode()) + len(chunk))
            if reply.refused:
                if asked.asks == HELLO and is_unversioned(reply.refused):
                    self._hear_unversioned()
                    return
                raise FederationError(reply.refused)
            asked.hear(reply.body, chunk)
        except (AtollError, OSError) as error:
            self._fail(asked, error)

    def _follow_key(self, asked: _Asked, reply: Reply, signer: PublicKey) -> None:
        """Take over to the key that signed an answer, where the answer says how it came to be the owner's.

        Raises:
            FederationError: it does not.
        """
        if asked.asks != HELLO or reply.refused:
            raise FederationError(f"the answer is signed by {signer.fingerprint}, which is not '{self.owner}'s key")
        days = self._shop.config.key_days
        follow_rotations(self._shop.ledger, self.owner, signer, HelloReply.from_json(reply.body), days)

    def _speak_of(self, state: State, issued: UnitIssued) -> None:
        unit = issued.unit
        if any(each.unit == unit for each in self._receiving.values()):
            return
        if unit in self._sending and self._still_permitted(state, issued):
            return
        pause = min(self._pause.get(unit, _SOONEST / 2) * 2, _LATEST)
        self._pause[unit], self._due[unit] = pause, time.monotonic() + pause
        try:
            what = self._shop.unit(unit)
            self._expect_permitted(state, issued, what)
        except FederationError as error:
            self._finish(issued, failure=str(error))
            self._sending.pop(unit, None)
            return
        work = Work(work=issued.work, unit=unit, what=what, call=issued.call)
        self._ask(state, WORK, work, lambda body, _: self._hear_work(issued, WorkReply.from_json(body)), about=unit)

    def _expect_permitted(self, state: State, issued: UnitIssued, what: str) -> None:
        """Raise FederationError where work would use an expert that its owner has taken back since it was called."""
        kind = TrainUnit if issued.work == "train" else MeasureUnit
        now, blobs = datetime.now(UTC), set(kind.from_json(what).needs)
        gone = [
            expert.accepted.owner
            for expert in state.experts.values()
            if expert.accepted.blob in blobs and not expert.consents.now.permits_something(now)
        ]
        if gone:
            raise FederationError(
                f"{', '.join(sorted(gone))} permits no use of its expert any more; release without it and call anew"
            )

    def _still_permitted(self, state: State, issued: UnitIssued) -> bool:
        try:
            self._expect_permitted(state, issued, self._shop.unit(issued.unit))
        except FederationError:
            return False
        return True

    def _hear_hello(self, body: str, _: bytes) -> None:
        reply = HelloReply.from_json(body)
        try:
            agree(reply.protocol, reply.protocol, us=_US, them=self._them)
        except ProtocolError as error:
            self._outdated(str(error))
        else:
            self._agreed = True
            self._shop.live.barred(self.owner, "")
            self._hear_offers(reply.offers)
        self._hear_instance(reply)
        self._proofs = reply.proofs
        self._hear_statements(reply.statements)
        if reply.statements:
            self._due[HELLO] = time.monotonic() + _SOONEST  # it waited for this, and there may be more
        if reply.receipt:
            key = self._shop.key.public
            if hear_receipt(self._shop.folder, self._shop.ledger, key, self.owner, reply.receipt):
                self._shop.live.failed(self.owner, "ledger", self._shop.ledger.state().doubted)
        self._confirm()

    def _confirm(self) -> None:
        """After a restoration: the owner's node has told all that it had stated."""
        state = self._shop.ledger.state()
        if self.owner in state.awaited and not state.doubted:
            self._shop.ledger.record(OwnerConfirmed(owner=self.owner))
            log.info("%s was heard since the ledger was restored", self.owner, extra=self._extra())

    def _hear_instance(self, reply: HelloReply) -> None:
        """Notice when two nodes live under one key."""
        key = self._key(self._shop.ledger.state())
        self._hear_after_rival(reply.instance)
        if wrong := self._instances.hear(key, reply.instance, reply.earlier):
            log.error("%s: %s", self.owner, wrong, extra=self._extra())
            self._shop.live.failed(self.owner, HELLO, wrong)

    def _hear_after_rival(self, instance: str) -> None:
        """Raise the alarm when the start that was connected answers twice more, the second time asked afterwards."""
        if self._rival is None:
            return
        before, answers = self._rival
        self._rival = (before, answers + 1) if instance == before else None
        if self._rival is not None and answers + 1 >= _ANSWERS:
            self._rival, self._has_rival = None, True
            wrong = (
                "ALARM: two nodes with one owner's keys: while its node is connected, another tries to connect with "
                "a copy of its keys. Ask the institution; if its folder was stolen, revoke it: atoll coordinator revoke"
            )
            log.error("%s: %s", self.owner, wrong, extra=self._extra())
            self._shop.live.failed(self.owner, HELLO, wrong)

    def _key(self, state: State) -> str:
        """Hex of the key that the owner is admitted with."""
        return state.owners[self.owner].admitted.public_key

    @property
    def _them(self) -> str:
        return f"the node of '{self.owner}'"

    def _hear_unversioned(self) -> None:
        """The node is older than protocols: say who must upgrade, and hear what its owner says about consent."""
        try:
            agree(UNVERSIONED, UNVERSIONED, us=_US, them=self._them)
        except ProtocolError as error:
            self._outdated(str(error))
        state = self._shop.ledger.state()
        hello = UnversionedHello(heard=state.owners[self.owner].statements)
        self._ask(
            state,
            HELLO,
            hello,
            lambda body, _: self._hear_statements(UnversionedHelloReply.from_json(body).statements),
        )

    def _outdated(self, why: str) -> None:
        """Work with this node stops until one side is upgraded; said once, and shown for as long as it is so."""
        self._agreed = False
        if self._shop.live.barred(self.owner, why):
            log.error("%s", why, extra=self._extra())
            self._shop.live.failed(self.owner, HELLO, why)

    def _hear_statements(self, statements: list[str]) -> None:
        for text in statements:
            statement = Statement.from_json(text)
            if statement.owner != self.owner:
                raise FederationError(f"a statement of '{statement.owner}' came from '{self.owner}'")
            try:
                news = accept_statement(self._shop.ledger, statement)
            except LedgerError as error:
                # About an expert that there is not; what the owner said after it counts all the same.
                self._shop.live.failed(self.owner, f"statement {statement.number}", str(error))
                continue
            if news:
                meant = statement.expert or "all of its experts"
                what = "permits" if statement.purposes else "withdraws"
                log.info("%s %s %s", self.owner, what, meant, extra=self._extra())

    def _hear_work(self, issued: UnitIssued, said: WorkReply) -> None:
        self._shop.live.progress(self.owner, issued.unit, said.done, said.total, said.note)
        if said.state in (FAILED, REFUSED):
            reason = said.note if said.state == FAILED else f"refused by the node: {said.note}"
            self._finish(issued, failure=reason or said.state)
        elif said.missing:
            kind = TrainUnit if issued.work == "train" else MeasureUnit
            wanted = set(kind.from_json(self._shop.unit(issued.unit)).needs)
            self._sending[issued.unit] = _Sending(issued.unit, [blob for blob in said.missing if blob in wanted])
        elif said.state == DONE and issued.work == "train":
            blob = TrainReply.from_json(said.result).blob
            size = said.blobs.get(blob, 0)
            if not 0 < size <= LIMIT_BYTES:
                self._finish(
                    issued, failure=f"its package is said to have {size} bytes; at most {LIMIT_BYTES} are taken"
                )
                return
            self._receiving[blob] = _Receiving(blob, issued.unit, size)
        elif said.state == DONE:
            self._take_figures(issued, said.result)

    def _take_figures(self, issued: UnitIssued, result: str) -> None:
        reply = EvaluateReply.from_json(result)
        unit = MeasureUnit.from_json(self._shop.unit(issued.unit))
        path = self._shop.result_file(issued.unit, self.owner)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, result.encode())
        if unit.audit is not None:
            self._take_audit(unit, reply)
            self._finish(issued, result=reply.address)
            return
        found = known_only(flags(unit, self.owner, reply, self._shop.config.harm), self._shop.ledger.state())
        for fact in found:
            log.warning("%s flags an expert: %s", self.owner, fact.to_json(), extra=self._extra())
        self._finish(issued, result=reply.address, before=found)

    def _take_audit(self, unit: MeasureUnit, reply: EvaluateReply) -> None:
        """Put what an owner measured of a release beside the release."""
        assert unit.audit is not None
        releases = self._shop.ledger.state().releases.items()
        for number in [number for number, each in releases if each.released.digest == unit.audit.release]:
            folder = release_folder(self._shop.folder.releases, number)
            write_audits(folder, {self.owner: reply.audit}, own_trust(self._shop.key))
            log.info("%s has audited release %d", self.owner, number, extra=self._extra())

    def _fetch(self, state: State, receiving: "_Receiving") -> None:
        """Ask for the next pieces; take the package when it is whole."""
        if time.monotonic() < self._due.get(receiving.blob, 0):
            return
        piece = self._shop.config.piece_mib << 20
        out = sum(asked.about == receiving.blob for asked in self._asked.values())
        if not receiving.size:
            if not out:
                self._ask_piece(state, receiving, 0, 1)
            return
        if not out:
            receiving.next = self._partial(receiving).have
        if receiving.next >= receiving.size and not out:
            self._take_package(receiving)
            return
        while out < _WINDOW and receiving.next < receiving.size:
            length = min(piece, receiving.size - receiving.next)
            self._ask_piece(state, receiving, receiving.next, length)
            receiving.next += length
            out += 1

    def _ask_piece(self, state: State, receiving: "_Receiving", offset: int, length: int) -> None:
        def hear(body: str, chunk: bytes) -> None:
            said = FetchReply.from_json(body)
            if not receiving.size:
                if not 0 < said.size <= LIMIT_BYTES:
                    raise PackageError(
                        f"its package is said to have {said.size} bytes; at most {LIMIT_BYTES} are taken"
                    )
                receiving.size = said.size
                return
            if said.offset != offset or len(chunk) > length or not chunk:
                raise FederationError(f"another piece of blob {receiving.blob[:19]} came than was asked for")
            receiving.early[offset] = chunk
            partial = self._partial(receiving)
            while (ready := receiving.early.pop(partial.have, None)) is not None:
                partial.add(partial.have, ready)
            self._shop.live.progress(self.owner, receiving.unit, partial.have, receiving.size, "bytes of its expert")

        fetch = Fetch(blob=receiving.blob, offset=offset, length=length)
        self._ask(state, FETCH, fetch, hear, about=receiving.blob)

    def _partial(self, receiving: "_Receiving") -> PartialBlob:
        return self._shop.packages.incoming(receiving.blob, receiving.size)

    def _take_package(self, receiving: "_Receiving") -> None:
        """A package is whole: check it, and write down that it is here, in one step of the ledger."""
        del self._receiving[receiving.blob]
        state = self._shop.ledger.state()
        issued = state.open.get((self.owner, receiving.unit))
        if issued is None:
            self._take_unasked(state, receiving.blob)
            return
        path = self._shop.packages.path(receiving.blob)
        try:
            facts = expert_facts(state, self._shop.anchor, path, self.owner, receiving.blob)
        except AtollError as error:
            path.unlink(missing_ok=True)
            self._finish(issued, failure=f"its package is refused: {error}")
            return
        digest = getattr(facts[-1], "expert", "")
        log.info("the expert of %s has arrived: %s", self.owner, digest[:19], extra=self._extra(receiving.unit))
        try:
            self._finish(issued, result=digest, before=facts)
        except LedgerError as error:  # its owner took it back just now
            path.unlink(missing_ok=True)
            self._finish(issued, failure=f"its package is refused: {error}")

    def _take_unasked(self, state: State, blob: str) -> None:
        """A package that no unit asked for: fetched again because it was damaged, or a successor that was offered."""
        if any(expert.accepted.blob == blob for expert in state.experts.values()):
            if blob in withdrawn_blobs(state):
                self._shop.packages.remove(blob)
            return
        try:
            facts = expert_facts(state, self._shop.anchor, self._shop.packages.path(blob), self.owner, blob)
            if not isinstance(facts[-1], ExpertSucceeded):
                raise FederationError("only a successor of an expert that is known here is taken without a call")
            self._shop.ledger.record_all(facts)
            log.info("%s's expert is succeeded by %s", self.owner, facts[-1].expert[:19], extra=self._extra())
        except AtollError as error:
            self._shop.packages.remove(blob)
            self._refused.add(blob)
            self._shop.live.failed(self.owner, "the expert that it offers", str(error))

    def _hear_offers(self, offers: Sequence[Offer]) -> None:
        """Fetch successors that the node offers, but for those that are here or were refused."""
        known = {expert.accepted.blob for expert in self._shop.ledger.state().experts.values()}
        for offer in offers:
            if offer.blob not in known | self._refused and 0 < offer.size <= LIMIT_BYTES:
                self._receiving.setdefault(offer.blob, _Receiving(offer.blob, "", offer.size))

    def _store(self, state: State, sending: "_Sending") -> None:
        """Send the next piece of what an evaluation needs."""
        if any(asked.asks == STORE and asked.about == sending.unit for asked in self._asked.values()):
            return
        if time.monotonic() < self._due.get(f"store {sending.unit}", 0):
            return
        if not sending.blobs:
            del self._sending[sending.unit]
            self._due[sending.unit] = self._pause[sending.unit] = 0
            return
        blob = sending.blobs[0]
        if blob in withdrawn_blobs(state):
            del self._sending[sending.unit]
            issued = state.open.get((self.owner, sending.unit))
            if issued is not None:
                self._finish(issued, failure="an expert that it needs was withdrawn by its owner; call for it anew")
            return
        try:
            path = self._shop.packages.path(blob)
        except FederationError:
            return  # being fetched again
        size = path.stat().st_size
        piece = b""
        if sending.known:
            with path.open("rb") as handle:
                handle.seek(sending.have)
                piece = handle.read(self._shop.config.piece_mib << 20)

        def hear(body: str, _: bytes) -> None:
            sending.known, sending.have = True, StoreReply.from_json(body).have
            self._shop.live.progress(self.owner, sending.unit, sending.have, size, "bytes of an expert sent")
            if sending.have == size:
                if sending.moved:
                    self._shop.ledger.record(Transferred(owner=self.owner, blob=blob, to_owner=True, size=size))
                sending.blobs.pop(0)
                sending.known, sending.have, sending.moved = False, 0, False
            else:
                sending.moved = True

        store = Store(blob=blob, size=size, offset=sending.have)
        self._ask(state, STORE, store, hear, about=sending.unit, chunk=piece)

    def _ask_to_erase(self, state: State, now: float) -> None:
        """Ask for what other owners have withdrawn; whatever was being sent of it is sent no more."""
        for expert in to_ask(state, self.owner):
            blob, about = state.experts[expert].accepted.blob, f"erase {expert}"
            if now < self._due.get(about, 0) or self._is_out(ERASE, about):
                continue
            self._due[about] = now + _AFTER_FAILURE
            hear = functools.partial(self._hear_erased, expert, f"blob {blob}")
            self._ask(state, ERASE, Erase(expert=expert, blob=blob), hear, about=about)

    def _hear_erased(self, expert: str, copy: str, body: str, _: bytes) -> None:
        line = EraseReply.from_json(body).statement
        said = ErasureStatement.from_json(line)
        if (said.holder, said.expert, said.copies) != (self.owner, expert, [copy]):
            raise FederationError("it says that it has erased something else than it was asked to erase")
        self._shop.ledger.record(CopyErased(document=line))
        log.info("%s has erased the expert %s", self.owner, expert[:19], extra=self._extra())

    def _lost(self, state: State) -> list[str]:
        """Packages of this owner that the ledger has and the disk has not."""
        return [
            expert.accepted.blob
            for expert in state.experts.values()
            if expert.accepted.owner == self.owner
            and expert.consents.now.purposes
            and not self._shop.packages.there(expert.accepted.blob)
        ]

    def _finish(
        self, issued: UnitIssued, *, result: str = "", failure: str = "", before: list[Fact] | None = None
    ) -> None:
        """Write down what came of a unit, with what goes with it, once."""
        failure = failure[:_FAILURE]  # a node's words, which the ledger keeps for ever
        if failure:
            log.warning("%s of %s: %s", issued.work, self.owner, failure, extra=self._extra(issued.unit))
            self._shop.live.failed(self.owner, issued.work, failure)
        finished = UnitFinished(owner=self.owner, unit=issued.unit, result=result, failure=failure)
        if (self.owner, issued.unit) in self._shop.ledger.state().open:
            self._shop.ledger.record_all([*(before or []), finished])
        self._shop.live.finished(self.owner, issued.unit)
        self._due.pop(issued.unit, None)
        self._pause.pop(issued.unit, None)

    def _ask(
        self,
        state: State,
        asks: str,
        body: Unit,
        hear: Callable[[str, bytes], None],
        *,
        about: str = "",
        chunk: bytes = b"",
    ) -> None:
        nonce = secrets.token_hex(16)
        receipt = self._shop.receipt(state, self.owner).to_line()
        request = Request(to=self.owner, nonce=nonce, asks=asks, body=body.to_json(), head=receipt)
        text = request.to_json()
        message = Message(seal(text, self._shop.key, chunk), self.node, MessageType.QUERY, ttl=2 * _GIVE_UP)
        identifiers = list(self._grid.push_messages([message]))
        if identifiers and identifiers[0]:
            self._asked[identifiers[0]] = _Asked(nonce, asks, time.monotonic(), hear, about)
            self._shop.live.sent(self.owner, len(text.encode()) + len(chunk))

    def _is_out(self, asks: str, about: str) -> bool:
        return any(asked.asks == asks and asked.about == about for asked in self._asked.values())

    def _fail(self, asked: _Asked, error: Exception) -> None:
        log.warning("%s: %s: %s", self.owner, asked.asks, error, extra=self._extra())
        self._shop.live.failed(self.owner, asked.asks, str(error))
        self._dropped(asked)
        wait = time.monotonic() + _AFTER_FAILURE
        about = {HELLO: HELLO, STORE: f"store {asked.about}"}.get(asked.asks, asked.about)
        self._due[about] = wait

    def _dropped(self, asked: _Asked) -> None:
        """What was out has not come: begin again where the disk says that we are."""
        receiving = self._receiving.get(asked.about)
        if receiving is not None:
            receiving.early.clear()
        sending = self._sending.get(asked.about)
        if sending is not None:
            sending.known = False

    def _extra(self, unit: str = "") -> dict[str, str]:
        return {"owner": self.owner, "unit": unit} if unit else {"owner": self.owner}


class _Receiving:
    """A blob that is coming."""

    def __init__(self, blob: str, unit: str, size: int) -> None:
        self.blob, self.unit, self.size = blob, unit, size
        self.next = 0
        self.early: dict[int, bytes] = {}


class _Sending:
    """Blobs that are going, for a unit."""

    def __init__(self, unit: str, blobs: list[str]) -> None:
        self.unit, self.blobs = unit, blobs
        self.known, self.have, self.moved = False, 0, False
