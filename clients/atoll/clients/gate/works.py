"""The work that a node has taken on: done one after the other, whatever becomes of the connection, and kept on disk."""

import json
import logging
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from flwr.app import ConfigRecord, MessageType, RecordDict
from flwr.serverapp import Grid

from atoll.clients.gate.account import Account
from atoll.clients.gate.package_spends import figure_spends, package_spends
from atoll.clients.gate.peers import Peers
from atoll.clients.gate.policy import Policy, Refusal
from atoll.clients.measuring.agent import Measuring
from atoll.clients.training.basis import TrainBasis
from atoll.errors import AtollError, ConfigError, FederationError
from atoll.experts.files import write_atomic
from atoll.experts.package import verify_package
from atoll.experts.signing import Signer
from atoll.federation.blobs import BlobStore
from atoll.federation.embedded import EmbeddedGrid, SiloProcess
from atoll.federation.measuring import MeasureUnit
from atoll.federation.progress import Progress
from atoll.federation.talk import DONE, FAILED, QUEUED, REFUSED, WORKING, Work, WorkReply
from atoll.federation.units import Announcement, EvaluateReply, EvaluateUnit, MemberRef, TrainReply, TrainUnit

log = logging.getLogger(__name__)
_APP = "atoll.clients.app:app"
_FULL = 16 << 20
"""Bytes of free space below which what failed is taken to have failed for want of it."""
_PAUSE = 5.0
PLAN = "query.plan"
"""Flower's type of the message that asks the worker what a training would rest on."""


@dataclass(slots=True)
class _Taken:
    """A unit that was taken on."""

    work: Work
    reply: WorkReply


class Works:
    """Units by content address. Each is done once: its result is kept, and a restart takes up what was not done."""

    def __init__(self, folder: Path, owner: str, policy: Callable[[], Policy], key: Signer) -> None:
        """Take up what is on the disk; nothing runs before :meth:`start`.

        Args:
            folder: The node's.
            owner: Its owner.
            policy: The rules as they are now.
            key: The owner's, which signs the account.
        """
        self.account = Account(folder, key)
        self.peers = Peers(folder, owner, lambda: key)
        self._basis: dict[str, TrainBasis] = {}
        self._folder, self._owner, self._policy = folder / "works", owner, policy
        self.outgoing = BlobStore(folder / "outgoing")
        self.incoming = BlobStore(folder / "blobs")
        node_config = {"folder": str(folder), "outgoing": str(folder / "outgoing")}
        silo = SiloProcess(owner, folder, node_config)
        self._grid = EmbeddedGrid([silo], client_app=_APP, parallel=1, on_progress=self._progress)
        self._node = silo.node_id
        self._measuring = Measuring(folder, owner, self.incoming, lambda kind, text: self._send(kind, text))
        self._silo: Announcement | None = None
        self._taken: dict[str, _Taken] = {}
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._loop, name="works", daemon=True)
        for path in sorted(self._folder.glob("*/work.json")):
            self._take_up(path.parent)

    def start(self) -> None:
        """Begin, in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """End; what is being done goes on from its checkpoint another time."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._grid.close()
        self._thread.join(10)

    def ask(self, work: Work) -> WorkReply:
        """Take a unit on, or say how far it is.

        Raises:
            FederationError: it is no unit.
        """
        if work.unit != _unit_of(work).address:
            raise FederationError(f"unit {work.unit[:40]!r} has other content than its address says")
        with self._changed:
            known = self._taken.get(work.unit)
            again = known is not None and known.reply.state in (FAILED, REFUSED) and known.work.call != work.call
            if known is None or again:
                self._folder.joinpath(work.unit).mkdir(parents=True, exist_ok=True)
                write_atomic(self._folder / work.unit / "work.json", work.to_json().encode())
                (self._folder / work.unit / "reply.json").unlink(missing_ok=True)
                self._taken[work.unit] = _Taken(work, WorkReply(state=QUEUED, note="waits for its turn"))
                self._changed.notify_all()
            return self._taken[work.unit].reply

    def may_fetch(self, blob: str) -> bool:
        """Whether a blob is a result of work that was done and may leave."""
        return any(blob in taken.reply.blobs for taken in self._taken.values() if taken.reply.state == DONE)

    def expects(self, blob: str) -> bool:
        """Whether a unit that was taken on needs a blob."""
        return any(blob in taken.reply.missing for taken in self._taken.values())

    def arrived(self, blob: str) -> None:
        """A blob that a unit waits for has come."""
        with self._changed:
            for taken in self._taken.values():
                if blob in taken.reply.missing:
                    left = [each for each in taken.reply.missing if each != blob]
                    taken.reply = replace(taken.reply, missing=left)
            self._changed.notify_all()

    def _take_up(self, folder: Path) -> None:
        try:
            work = Work.from_json((folder / "work.json").read_text("utf-8"))
            kept = folder / "reply.json"
            reply = WorkReply.from_json(kept.read_text("utf-8")) if kept.exists() else WorkReply(state=QUEUED)
            if any(not self.outgoing.has(blob) for blob in reply.blobs):
                reply = WorkReply(state=QUEUED)  # damaged since it was made: it is made again, from what is there
        except (FederationError, OSError) as error:
            log.warning("%s cannot be read and is left alone: %s", folder, error)
            return
        self._taken[work.unit] = _Taken(work, reply)

    def _loop(self) -> None:
        while True:
            with self._changed:
                ready = self._next()
                if self._stopping:
                    return
                if ready is None:
                    self._changed.wait(_PAUSE)
                    continue
            self._do(ready)

    def _next(self) -> _Taken | None:
        """The oldest unit that can be done now."""
        for taken in self._taken.values():
            if taken.reply.state != QUEUED or taken.reply.missing:
                continue
            if not self._policy().is_open(datetime.now().astimezone()):
                taken.reply = replace(taken.reply, note="waits for the hours in which this node works")
                continue
            missing = self._missing(taken.work)
            if missing and self._is_allowed(taken.work):
                taken.reply = replace(taken.reply, missing=missing, note="waits for the experts that it needs")
                continue
            taken.reply = WorkReply(state=WORKING, note="begins")
            return taken
        return None

    def _is_allowed(self, work: Work) -> bool:
        """Whether it is worth waiting for what a unit needs; what the policy refuses is refused at once."""
        try:
            unit = _unit_of(work)
            self.peers.allow(self._policy(), _members(unit))
            if not isinstance(unit, TrainUnit):
                self._policy().allow_measuring(unit)
        except (FederationError, ConfigError):
            return False
        return True

    def _missing(self, work: Work) -> list[str]:
        return [blob for blob in _unit_of(work).needs if not self.incoming.has(blob)]

    def _do(self, taken: _Taken) -> None:
        try:
            self._allow(taken.work)
            reply = self._finish(taken.work, self._run(taken.work))
        except Refusal as refusal:
            reply = WorkReply(state=REFUSED, note=str(refusal))
        except AtollError as error:
            if self._is_full():
                self._again(taken, f"the node's disk is full; it tries again ({error})")
                return
            reply = WorkReply(state=FAILED, note=str(error))
        except OSError as error:
            self._again(taken, f"the node's disk does not serve: {error.strerror}; it tries again")
            return
        if self._stopping:
            return
        try:
            write_atomic(self._folder / taken.work.unit / "reply.json", reply.to_json().encode())
        except OSError as error:
            self._again(taken, f"the node cannot keep the result: {error.strerror}; it tries again")
            return
        with self._changed:
            taken.reply = reply
        log.info("%s %s: %s %s", taken.work.work, taken.work.unit[:12], reply.state, reply.note)

    def _is_full(self) -> bool:
        places = (self._folder, self._folder.parent / "outgoing")
        return min(shutil.disk_usage(place).free for place in places if place.exists()) < _FULL

    def _again(self, taken: _Taken, note: str) -> None:
        log.warning("%s %s: %s", taken.work.work, taken.work.unit[:12], note)
        with self._changed:
            taken.reply = WorkReply(state=QUEUED, note=note)
            self._changed.wait(_PAUSE)

    def _allow(self, work: Work) -> None:
        policy, unit = self._policy(), _unit_of(work)
        self.peers.allow(policy, _members(unit))
        if isinstance(unit, TrainUnit):
            unit.check()
            silo = self._announcement()
            policy.allow_training(unit, silo)
            basis = TrainBasis.from_json(self._send(PLAN, work.what))
            policy.allow_basis(unit, basis, silo)
            with _own_account():
                self.account.allow(policy.training, unit, basis, policy.min_documents)
            self._basis[work.unit] = basis
        else:
            policy.allow_measuring(unit)

    def _finish(self, work: Work, result: str) -> WorkReply:
        if work.work == "evaluate":
            reply = EvaluateReply.from_json(result)
            self._policy().allow_figures(reply)
            with _own_account():
                self.account.tell(self._policy().training, *figure_spends(reply))
            return WorkReply(state=DONE, result=result)
        blob = TrainReply.from_json(result).blob
        path = self.outgoing.get(blob)
        size = path.stat().st_size
        found = verify_package(path, trusted=None)
        self._policy().allow_expert(
            found.card,
            has_shares=found.descriptor.unigram is not None,
            has_directions=found.descriptor.directions is not None,
            prior=found.prior,
            size=size,
        )
        basis, unit = self._basis.pop(work.unit), TrainUnit.from_json(work.what)
        self._policy().allow_package(unit, basis, found)
        with _own_account():
            spends = package_spends(found, basis)
            self.account.release(self._policy().training, unit, basis, found.digest, spends)
        return WorkReply(state=DONE, result=result, blobs={blob: size})

    def _announcement(self) -> Announcement:
        """What the silo holds; this checks the data, in the worker."""
        if self._silo is None:
            self._silo = Announcement.from_json(self._send(MessageType.QUERY, "{}"))
        return self._silo

    def _run(self, work: Work) -> str:
        if work.work == "evaluate":
            return self._measuring.answer(MeasureUnit.from_json(work.what), self._policy()).to_json()
        return self._send(MessageType.TRAIN, work.what)

    def _send(self, kind: str, text: str) -> str:
        limits = self._policy().limits.to_json()
        content = RecordDict({"unit": ConfigRecord({"json": text}), "limits": ConfigRecord({"json": limits})})
        grid: Grid = self._grid
        replies = list(grid.send_and_receive([grid.create_message(content, kind, self._node, "")]))
        if not replies:
            raise FederationError("the worker gave no answer")
        if replies[0].has_error():
            raise FederationError(replies[0].error.reason or "the worker failed without a reason")
        return str(replies[0].content.config_records["unit"]["json"])

    def _progress(self, silo: str, progress: Progress) -> None:
        """How far the work is, for whoever asks; the worker's own words, which may hold losses, are the owner's."""
        for taken in self._taken.values():
            if taken.reply.state == WORKING:
                note = "trains" if taken.work.work == "train" else "measures"
                taken.reply = replace(taken.reply, done=progress.done, total=progress.total, note=note)
                log.debug("%s: %s", taken.work.unit[:12], progress.note)


@contextmanager
def _own_account() -> Iterator[None]:
    """What is wrong with the account is the owner's to see.

    Raises:
        Refusal: something is.
    """
    try:
        yield
    except ConfigError as error:
        log.error("nothing is trained: %s", error)
        raise Refusal("the node's privacy account cannot be used; its owner sees why") from error


def _unit_of(work: Work) -> TrainUnit | MeasureUnit | EvaluateUnit:
    """What is asked; a unit of the free form that only runs of one's own may have is read, to be refused by name.

    Raises:
        FederationError: it is no unit.
    """
    if work.work == "train":
        return TrainUnit.from_json(work.what)
    if work.work == "evaluate":
        try:
            return MeasureUnit.from_json(work.what)
        except FederationError as error:
            try:
                return EvaluateUnit.from_json(work.what)
            except FederationError:
                raise error from None
    raise FederationError(f"there is no work '{work.work}'; there is train and evaluate")


def _members(unit: TrainUnit | MeasureUnit | EvaluateUnit) -> list[MemberRef]:
    """Everyone whose expert the unit is about, but for the owner that does it."""
    if isinstance(unit, TrainUnit):
        return [] if unit.past is None else unit.past.members
    if isinstance(unit, EvaluateUnit):
        return unit.members
    return [member for candidate in unit.candidates for member in candidate.members]


def pending(folder: Path) -> list[dict[str, str]]:
    """What a node has taken on, from its folder alone: for people, and while it does not run."""
    found = []
    for path in sorted((folder / "works").glob("*/work.json")):
        kept = path.parent / "reply.json"
        state = json.loads(kept.read_text("utf-8"))["state"] if kept.exists() else QUEUED
        found.append({"unit": path.parent.name, "work": json.loads(path.read_text("utf-8"))["work"], "state": state})
    return found
