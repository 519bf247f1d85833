"""The silos of a run: who is there, what they are asked, and what of their answers counts."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from flwr.app import ConfigRecord, Message, MessageType, RecordDict
from flwr.serverapp import Grid

from atoll.anchors import Anchor
from atoll.coordinator.history import History
from atoll.coordinator.journal import Journal
from atoll.errors import AtollError, FederationError, LedgerError, PackageError
from atoll.experts.card import Consent
from atoll.experts.package import ExpertPackage
from atoll.experts.signing import PublicKey
from atoll.experts.statements import Statement
from atoll.federation.blobs import BlobStore, pack_blobs, unpack_blobs
from atoll.federation.exit_unit import ExitReply, ExitUnit
from atoll.federation.units import (
    Announcement,
    ConsentReply,
    ConsentRequest,
    EvaluateReply,
    EvaluateUnit,
    MemberRef,
    TrainReply,
    TrainUnit,
    Unit,
)
from atoll.releases.members import verify

log = logging.getLogger("atoll.coordinator")
EXIT = f"{MessageType.EVALUATE}.exit"
"""Flower's name of the message that asks for an exit's scorecard."""
_EVALUATED = "evaluated"
U = TypeVar("U", bound=Unit)
Reply = TypeVar("Reply", TrainReply, EvaluateReply)


class Crew:
    """Everyone who takes part in one run. All state that matters is in the run folder."""

    def __init__(self, grid: Grid, folder: Path, anchor: Anchor, history: History, names: Mapping[int, str]) -> None:
        """Nobody is asked yet.

        Args:
            grid: The engine.
            folder: The run folder; what arrives is kept in it, and is not asked for again.
            anchor: What everyone must have.
            history: The run's ledger.
            names: What the engine calls its nodes, for nodes that fail before they say who they are.
        """
        self._grid, self._anchor, self._history, self._names = grid, anchor, history, dict(names)
        self.journal = Journal(folder / "journal.jsonl")
        self.packages = BlobStore(folder / "packages")
        self.silos: dict[str, Announcement] = {}
        """What each silo said of itself, by owner."""
        self.failures: dict[str, str] = {}
        """Why a silo is left out, by owner."""
        self._nodes: dict[str, int] = {}
        self._held: dict[str, set[str]] = {}

    @property
    def owners(self) -> list[str]:
        """Those who are there, sorted."""
        return sorted(self._nodes)

    def announce(self, *, incomplete: bool) -> None:
        """Who is there, with what; a silo whose data cannot be used is known now, before any training.

        Args:
            incomplete: Whether to go on without silos that cannot take part.

        Raises:
            FederationError: nobody is there, or not everybody can take part.
        """
        nodes = list(self._grid.get_node_ids())
        replies = self._ask([self._message(node, MessageType.QUERY, None) for node in nodes])
        for node, reply in replies.items():
            said = self._said(node, reply, Announcement)
            if said is not None:
                self._welcome(node, said)
        self.need_somebody()
        if self.failures and not incomplete:
            raise FederationError(
                f"nothing has been trained, because not every silo can take part: {self.reasons()}. "
                "Mend it and run again, or go on without it: incomplete=true"
            )
        for owner in self.owners:
            self._history.admit(self.silos[owner])

    def train(self, owners: Sequence[str], unit: TrainUnit) -> dict[str, TrainReply]:
        """An expert from each; those that have arrived before are not asked for again.

        Returns:
            What counts, by owner; who failed is left out, and :attr:`failures` says why.
        """
        found: dict[str, TrainReply] = {}
        waiting = []
        for owner in owners:
            kept = self._journalled(owner, unit)
            if kept is None:
                waiting.append(owner)
            elif self._counts(owner, *kept):
                log.info("%s: its expert had arrived before", owner)
                found[owner] = kept[0]
        for owner, (said, reply) in self._work(waiting, MessageType.TRAIN, unit, TrainReply).items():
            if self._accept(owner, said, reply, unit):
                found[owner] = said
        return found

    def evaluate(self, owners: Sequence[str], unit: EvaluateUnit) -> dict[str, EvaluateReply]:
        """What each measured on its own data; who measured the same before is not asked again."""
        found = {owner: said for owner in owners if (said := self._measured(owner, unit)) is not None}
        waiting = [owner for owner in owners if owner not in found]
        for owner, (said, _) in self._work(waiting, MessageType.EVALUATE, unit, EvaluateReply).items():
            self.journal.write(_EVALUATED, owner, unit.address, {"json": said.to_json()})
            found[owner] = said
        return {owner: found[owner] for owner in owners if owner in found}

    def _measured(self, owner: str, unit: EvaluateUnit) -> EvaluateReply | None:
        """What an earlier run has heard already."""
        entry = self.journal.find(_EVALUATED, owner, unit.address)
        try:
            return None if entry is None else EvaluateReply.from_json(str(entry["json"]))
        except (FederationError, KeyError):
            return None

    def measure_exit(self, owner: str, unit: ExitUnit) -> dict[str, float]:
        """Figures of an exit's scorecard, asked of the owner that leaves; none where it is not there or cannot.

        An owner that leaves owes nobody an answer: none is no failure of the run.
        """
        if owner not in self._nodes:
            return {}
        for _ in range(2):  # who has lost a blob since is sent it again
            message = self._message(self._nodes[owner], EXIT, unit)
            message.content["blobs"] = pack_blobs(self.packages, unit.needs, self._held[owner])
            reply = next(iter(self._grid.send_and_receive([message])), None)
            if reply is None or reply.has_error():
                log.warning("%s: no scorecard of its exit: %s", owner, reply.error.reason if reply else "no answer")
                return {}
            said = self._said(self._nodes[owner], reply, ExitReply)
            if said is None or not said.missing:
                return dict(said.figures) if said is not None else {}
            self._held[owner] -= set(said.missing)
        return {}

    def member(self, owner: str, trained: TrainReply) -> MemberRef:
        """An owner's expert as a release names it."""
        key = self.silos[owner].public_key
        return MemberRef(owner=owner, digest=trained.digest, blob=trained.blob, public_key=key)

    def keep_only(self, owners: Iterable[str]) -> None:
        """Nobody else is asked any more."""
        kept = set(owners)
        self._nodes = {owner: node for owner, node in self._nodes.items() if owner in kept}

    def leave_out(self, owner: str, reason: str) -> None:
        """Note why a silo has no part in something."""
        log.warning("%s is left out: %s", owner, reason)
        self.failures[owner] = reason

    def need_somebody(self) -> None:
        """Raise FederationError when nobody is left."""
        if not self._nodes:
            raise FederationError(f"no silo is left: {self.reasons()}")

    def reasons(self) -> str:
        """Why silos are left out, in one line."""
        return "; ".join(f"{owner}: {reason}" for owner, reason in self.failures.items()) or "none was there"

    def _welcome(self, node: int, said: Announcement) -> None:
        if said.anchor != self._anchor.digest:
            self.leave_out(said.owner, f"has another anchor ({said.anchor}); give its node anchor {self._anchor.name}")
        elif said.owner in self.silos:
            self.leave_out(said.owner, "is announced by two nodes; owners need names of their own")
        else:
            self.silos[said.owner] = said
            self._nodes[said.owner] = node
            self._held[said.owner] = set(said.held)
            log.info("%s: %s, %s training units", said.owner, said.domain, f"{said.tokens['train']:,}")

    def _work(
        self, owners: Sequence[str], kind: str, unit: TrainUnit | EvaluateUnit, answer: type[Reply]
    ) -> dict[str, tuple[Reply, Message]]:
        """Ask for work, with the blobs that are lacking for it; who has lost one since is sent it again."""
        found: dict[str, tuple[Reply, Message]] = {}
        for node, reply in self._ask([self._work_message(owner, kind, unit) for owner in owners]).items():
            said = self._said(node, reply, answer)
            owner = self._owner(node)
            if said is not None and said.missing:
                self._held[owner] -= set(said.missing)
                reply = self._ask([self._work_message(owner, kind, unit)]).get(node, reply)
                said = self._said(node, reply, answer)
            if said is not None and said.missing:
                self.leave_out(owner, f"does not keep the blobs that it is sent ({', '.join(said.missing)})")
            elif said is not None:
                self._held[owner] |= set(unit.needs)
                found[owner] = said, reply
        return found

    def _work_message(self, owner: str, kind: str, unit: TrainUnit | EvaluateUnit) -> Message:
        message = self._message(self._nodes[owner], kind, unit)
        if unit.needs:
            message.content["blobs"] = pack_blobs(self.packages, unit.needs, self._held[owner])
        return message

    def _accept(self, owner: str, said: TrainReply, reply: Message, unit: TrainUnit) -> bool:
        """Verify a package before it counts; a refused one leaves its owner out, and nothing else."""
        try:
            unpack_blobs(reply.content.config_records["blobs"], self.packages)
            package = self._verify(owner, said)
        except (AtollError, KeyError) as error:
            self.leave_out(owner, f"its package is refused: {error}")
            return False
        self.journal.write("trained", owner, unit.address, said.__dict__)
        log.info("%s: expert %s arrived", owner, said.digest[:19])
        return self._counts(owner, said, package)

    def _counts(self, owner: str, said: TrainReply, package: ExpertPackage) -> bool:
        """An expert is the run's from now on, if its owner permits any use of it."""
        until = package.card.consent.until
        try:
            if self._history.accept(said.blob, package, partial(self._permission, owner)):
                return True
            why = f"its consent ended on {until}" if until else "it has withdrawn"
        except LedgerError as error:
            why = str(error)
        self.leave_out(owner, f"permits no use of its expert: {why}")
        return False

    def withdrawal(self, owner: str, words: str) -> Statement | None:
        """The silo's signed word that it takes all of its experts back; ``None`` where it does not answer."""
        return self._statement(owner, ConsentRequest(expert="", purposes=[], until=None, words=words))

    def _permission(self, owner: str, expert: str, terms: Consent) -> Statement | None:
        words = terms.statement or "takes part again"
        wanted = ConsentRequest(expert=expert, purposes=list(terms.purposes), until=terms.until, words=words)
        return self._statement(owner, wanted)

    def _statement(self, owner: str, wanted: ConsentRequest) -> Statement | None:
        node = self._nodes[owner]
        reply = self._ask([self._message(node, f"{MessageType.QUERY}.consent", wanted)]).get(node)
        try:
            if reply is None or reply.has_error():
                raise FederationError("the silo gave no statement")
            text = str(reply.content.config_records["unit"]["json"])
            return Statement.from_json(ConsentReply.from_json(text).statement)
        except (FederationError, KeyError) as error:
            log.warning("%s: no statement on consent: %s", owner, error)
            return None

    def _verify(self, owner: str, said: TrainReply) -> ExpertPackage:
        key = PublicKey.from_hex(self.silos[owner].public_key)
        package = verify(self.packages.get(said.blob), owner, key, self._anchor)
        if package.digest != said.digest:
            raise PackageError(f"package: is {package.digest}, but was announced as {said.digest}")
        return package

    def _journalled(self, owner: str, unit: TrainUnit) -> tuple[TrainReply, ExpertPackage] | None:
        entry = self.journal.find("trained", owner, unit.address)
        if entry is None:
            return None
        try:
            said = TrainReply(**entry)
            return said, self._verify(owner, said)
        except (AtollError, TypeError):
            return None  # what was kept is damaged, or the owner has another key now: ask again

    def _message(self, node: int, kind: str, unit: Unit | None) -> Message:
        content = RecordDict({"unit": ConfigRecord({"json": unit.to_json() if unit else "{}"})})
        return self._grid.create_message(content, kind, node, "")

    def _ask(self, messages: Iterable[Message]) -> dict[int, Message]:
        sent = list(messages)
        replies = {reply.metadata.src_node_id: reply for reply in self._grid.send_and_receive(sent)} if sent else {}
        for message in sent:
            if message.metadata.dst_node_id not in replies:
                self.leave_out(self._owner(message.metadata.dst_node_id), "did not answer")
        return replies

    def _said(self, node: int, reply: Message, kind: type[U]) -> U | None:
        if reply.has_error():
            self.leave_out(self._owner(node), reply.error.reason or "failed without a reason")
            return None
        try:
            return kind.from_json(str(reply.content.config_records["unit"]["json"]))
        except (FederationError, KeyError) as error:
            self.leave_out(self._owner(node), f"sent something else than was asked: {error}")
            return None

    def _owner(self, node: int) -> str:
        return next(
            (owner for owner, known in self._nodes.items() if known == node), self._names.get(node, f"node {node}")
        )
