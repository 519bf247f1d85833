"""The work that a node has taken on: done one after the other, whatever becomes of the connection, and kept on disk."""

import hashlib
import json
import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from flwr.app import ConfigRecord, MessageType, RecordDict
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid

from atoll.clients.gate.account import Account
from atoll.clients.gate.failure_codes import DIED, DISK, FULL, POLICY, RequestError, WorkerError, code_of, outward
from atoll.clients.gate.package_spends import package_spends
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
from atoll.federation.units import Announcement, EvaluateUnit, MemberRef, TrainReply, TrainUnit

log = logging.getLogger(__name__)
_APP = "atoll.clients.app:app"
_FULL = 16 << 20
"""Bytes of free space below which what failed is taken to have failed for want of it."""
_PAUSE = 5.0
_WAITING = 64
"""Units that may wait: who asks for more is told to come again."""
_KEPT = 512
"""Ended units whose answers are at hand without being made again."""
_DEATHS = 5
"""Deaths of the worker after which a unit has failed; another call tries it again."""
_BACKOFF = 2.0
"""Seconds before a unit is tried again whose worker died; they double."""
PLAN = "query.plan"
"""Flower's type of the message that asks the worker what a training would rest on."""
WITHDRAWN = WorkReply(state=FAILED, note="an expert that it needs was withdrawn by its owner")


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
        self._worker = SiloProcess(owner, folder, node_config)
        self._grid = self._new_grid()
        self._measuring = Measuring(
            folder, owner, self.incoming, lambda kind, text: self._send(kind, text), self.account.expect
        )
        self._silo: Announcement | None = None
        self._taken: dict[str, _Taken] = {}
        self._erased: set[str] = set()
        self._changed = threading.Condition()
        self._stopping = False
        self._trouble = ""
        self.restarts = 0
        self._deaths: dict[str, int] = {}
        self._thread = threading.Thread(target=self._loop, name="works", daemon=True)
        for path in sorted(self._folder.glob("*/work.json"), key=lambda path: path.stat().st_mtime_ns):
            self._take_up(path.parent)

    def _new_grid(self) -> EmbeddedGrid:
        return EmbeddedGrid([self._worker], client_app=_APP, parallel=1, on_progress=self._progress)

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
            RequestError: it is no unit.
        """
        if work.unit != _unit_of(work).address:
            raise RequestError(f"unit {work.unit[:40]!r} has other content than its address says")
        with self._changed:
            self._drop_old()
            known = self._taken.get(work.unit)
            again = known is not None and known.reply.state in (FAILED, REFUSED) and known.work.call != work.call
            if known is None or again:
                if sum(taken.reply.state in (QUEUED, WORKING) for taken in self._taken.values()) >= _WAITING:
                    raise RequestError(f"{_WAITING} units of work wait already; ask again when some are done")
                self._folder.joinpath(work.unit).mkdir(parents=True, exist_ok=True)
                write_atomic(self._folder / work.unit / "work.json", work.to_json().encode())
                (self._folder / work.unit / "reply.json").unlink(missing_ok=True)
                self._taken[work.unit] = _Taken(work, WorkReply(state=QUEUED, note="waits for its turn"))
                self._changed.notify_all()
            return self._taken[work.unit].reply

    def _drop_old(self) -> None:
        """Forget ended units beyond those that are kept, the oldest first: whoever asks again gets the same answer.

        What a unit told is in the budgets and the outbox; a training's package that may still be fetched stays.
        """
        ended = [
            unit
            for unit, taken in self._taken.items()
            if taken.reply.state not in (QUEUED, WORKING) and not taken.reply.blobs
        ]
        for unit in ended[: max(0, len(ended) - _KEPT)]:
            shutil.rmtree(self._folder / unit, ignore_errors=True)
            del self._taken[unit]

    def may_fetch(self, blob: str) -> bool:
        """Whether a blob is a result of work that was done and may leave."""
        return any(blob in taken.reply.blobs for taken in self._taken.values() if taken.reply.state == DONE)

    def expects(self, blob: str) -> bool:
        """Whether a unit that was taken on needs a blob."""
        return any(blob in taken.reply.missing for taken in self._taken.values())

    def arrived(self, blob: str) -> None:
        """A blob that a unit waits for has come."""
        with self._changed:
            self._erased.discard(blob)
            for taken in self._taken.values():
                if blob in taken.reply.missing:
                    left = [each for each in taken.reply.missing if each != blob]
                    taken.reply = replace(taken.reply, missing=left)
            self._changed.notify_all()

    def erase(self, blob: str) -> None:
        """Erase a blob of another owner's. Units that still need it come to nothing, the one being done as well."""
        with self._changed:
            self._erased.add(blob)
            self.incoming.remove(blob)
            for taken in self._taken.values():
                if taken.reply.state == QUEUED and blob in _unit_of(taken.work).needs:
                    self._end(taken, WITHDRAWN)
            self._changed.notify_all()

    def _end(self, taken: _Taken, why: WorkReply) -> None:
        write_atomic(self._folder / taken.work.unit / "reply.json", why.to_json().encode())
        taken.reply = why

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
        """Until told to stop: whatever one turn meets, there is a next one."""
        while not self._stopping:
            try:
                if self._turn():
                    continue
            except Exception as error:
                self._note_trouble(error)
            with self._changed:
                if not self._stopping:
                    self._changed.wait(_PAUSE)

    def _turn(self) -> bool:
        """Do the next unit; whether there was one."""
        with self._changed:
            ready = self._next()
            if self._stopping or ready is None:
                return False
        self._do(ready)
        return True

    def _note_trouble(self, error: Exception) -> None:
        """Say, once for each kind of trouble, what keeps the node from its work: to its log, and to who asks."""
        kind = f"{type(error).__name__}: {error}"
        if kind != self._trouble:
            self._trouble = kind
            code = POLICY if isinstance(error, ConfigError) else ""
            note = outward(error, "taking up work", code)
            with self._changed:
                for taken in self._taken.values():
                    if taken.reply.state in (QUEUED, WORKING):
                        taken.reply = replace(taken.reply, state=QUEUED, note=note)

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
            reply = self._measured(taken.work) if taken.work.work == "evaluate" else self._trained(taken.work)
            if self._erased.intersection(_unit_of(taken.work).needs):
                reply = WITHDRAWN
        except (Refusal, RequestError) as refusal:
            reply = WorkReply(state=REFUSED, note=outward(refusal, self._name(taken)))
        except Exception as error:
            if self._stopping or self._heals(taken, error):
                return
            reply = WorkReply(state=FAILED, note=outward(error, self._name(taken)))
        if self._stopping:
            return
        self._deaths.pop(taken.work.unit, None)
        self._trouble = ""
        try:
            write_atomic(self._folder / taken.work.unit / "reply.json", reply.to_json().encode())
        except OSError as error:
            self._again(taken, outward(error, self._name(taken)))
            return
        with self._changed:
            taken.reply = reply
        log.info("%s: %s %s", self._name(taken), reply.state, reply.note)

    @staticmethod
    def _name(taken: _Taken) -> str:
        return f"{taken.work.work} {taken.work.unit[:12]}"

    def _heals(self, taken: _Taken, error: Exception) -> bool:
        """Whether a failure may go by itself; then the unit waits for its next turn."""
        name = self._name(taken)
        if isinstance(error, AtollError) and self._is_full():
            self._again(taken, outward(error, name, FULL))
            return True
        if code_of(error) in (FULL, DISK):
            self._again(taken, outward(error, name))
            return True
        if self._is_policy_broken():
            self._again(taken, outward(error, name, POLICY))
            return True
        if isinstance(error, WorkerError) and error.code == DIED:
            # The system may have killed it for want of memory: there may be more the next time.
            deaths = self._deaths[taken.work.unit] = self._deaths.get(taken.work.unit, 0) + 1
            self.restarts += 1
            self._grid.close()
            self._grid = self._new_grid()
            if deaths < _DEATHS:
                self._again(taken, outward(error, f"{name}, try {deaths} of {_DEATHS}"), _BACKOFF * 2 ** (deaths - 1))
                return True
            del self._deaths[taken.work.unit]
        return False

    def _is_policy_broken(self) -> bool:
        try:
            self._policy()
        except ConfigError:
            return True
        return False

    def _is_full(self) -> bool:
        places = (self._folder, self._folder.parent / "outgoing")
        return min(shutil.disk_usage(place).free for place in places if place.exists()) < _FULL

    def _again(self, taken: _Taken, note: str, pause: float | None = None) -> None:
        with self._changed:
            taken.reply = WorkReply(state=QUEUED, note=note)
            end = time.monotonic() + (_PAUSE if pause is None else pause)
            while not self._stopping and (left := end - time.monotonic()) > 0:
                self._changed.wait(left)

    def _allow(self, work: Work) -> None:
        policy, unit = self._policy(), _unit_of(work)
        self.peers.allow(policy, _members(unit))
        if isinstance(unit, TrainUnit):
            try:
                unit.check()
            except ConfigError as error:  # of what was asked, and nothing here
                raise RequestError(str(error)) from error
            silo = self._announcement()
            policy.allow_training(unit, silo)
            basis = TrainBasis.from_json(self._send(PLAN, work.what))
            policy.allow_basis(unit, basis, silo)
            with _own_account():
                self.account.allow(policy.training, unit, basis, policy.min_documents)
            self._basis[work.unit] = basis
        else:
            policy.allow_measuring(unit)

    def _measured(self, work: Work) -> WorkReply:
        policy = self._policy()
        reply, spends = self._measuring.answer(MeasureUnit.from_json(work.what), policy)
        policy.allow_figures(reply)
        result = reply.to_json()
        with _own_account():
            self.account.tell(policy.training, hashlib.sha256(result.encode()).hexdigest(), spends)
        return WorkReply(state=DONE, result=result)

    def _trained(self, work: Work) -> WorkReply:
        result = self._send(MessageType.TRAIN, work.what)
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

    def _send(self, kind: str, text: str) -> str:
        limits = self._policy().limits.to_json()
        content = RecordDict({"unit": ConfigRecord({"json": text}), "limits": ConfigRecord({"json": limits})})
        grid: Grid = self._grid
        message = grid.create_message(content, kind, self._worker.node_id, "")
        replies = list(grid.send_and_receive([message]))
        if not replies:
            raise WorkerError(DIED, "the worker gave no answer")
        if replies[0].has_error():
            error = replies[0].error
            if error.code != ErrorCode.CLIENT_APP_RAISED_EXCEPTION:
                raise WorkerError(DIED, error.reason or "the worker died")
            code, _, details = (error.reason or "").partition(": ")
            raise WorkerError(code, details or "the worker failed without a reason")
        return str(replies[0].content.config_records["unit"]["json"])

    def _progress(self, silo: str, progress: Progress) -> None:
        """How far the work is, for whoever asks; the worker's own words, which may hold losses, are the owner's."""
        for taken in self._taken.values():
            if taken.reply.state == WORKING:
                note = "trains" if taken.work.work == "train" else "measures"
                log.debug("%s: %s", taken.work.unit[:12], progress.note)
                # The worker's own words and numbers would be a way out for what a plug-in has read.
                total = _steps(_unit_of(taken.work))
                done = min(max(progress.done, 0), total)
                taken.reply = replace(taken.reply, done=done, total=total, note=note)


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
        RequestError: it is no unit.
    """
    try:
        if work.work == "train":
            return TrainUnit.from_json(work.what)
        if work.work == "evaluate":
            return _evaluation(work.what)
    except FederationError as error:
        raise RequestError(str(error)) from error
    raise RequestError(f"there is no work '{work.work[:40]}'; there is train and evaluate")


def _evaluation(what: str) -> MeasureUnit | EvaluateUnit:
    try:
        return MeasureUnit.from_json(what)
    except FederationError as error:
        try:
            return EvaluateUnit.from_json(what)
        except FederationError:
            raise error from None


def _steps(unit: TrainUnit | MeasureUnit | EvaluateUnit) -> int:
    """How many steps a unit has, as who asks for it knows."""
    if isinstance(unit, TrainUnit):
        return unit.training.steps
    return len(unit.measurements) if isinstance(unit, MeasureUnit) else len(unit.variants)


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
