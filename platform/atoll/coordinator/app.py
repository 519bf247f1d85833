"""The Flower ``ServerApp``: announce, train, integrate, evaluate, withdraw. It is the same on every engine."""

import logging
import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from flwr.app import ConfigRecord, Context, Message, MessageType, RecordDict
from flwr.serverapp import Grid, ServerApp

from atoll.anchors import Anchor, resolve
from atoll.config import read_config
from atoll.coordinator.config import RunConfig
from atoll.coordinator.history import History
from atoll.coordinator.journal import Journal
from atoll.coordinator.release import Release, make_release, numbered, verify, write_release
from atoll.coordinator.variants import variants, withdrawal_variants
from atoll.errors import AtollError, FederationError, PackageError
from atoll.experts.package import ExpertPackage
from atoll.experts.signing import PublicKey
from atoll.federation.blobs import BlobStore, pack_blobs, unpack_blobs
from atoll.federation.units import (
    Announcement,
    EvaluateReply,
    EvaluateUnit,
    MemberRef,
    TrainReply,
    TrainUnit,
    Unit,
    Variant,
)

log = logging.getLogger("atoll.coordinator")
app = ServerApp()
U = TypeVar("U", bound=Unit)


@dataclass(slots=True)
class Findings:
    """What a run has found so far.

    Attributes:
        silos: What each silo said of itself, by owner.
        failures: Why a silo is left out, by owner.
        trained: What training found, by owner.
        release: The mixture.
        evaluated: What each silo measured.
        reduced: The release after the withdrawal, if there was one.
        seconds: Wall time by phase.
    """

    silos: dict[str, Announcement] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    trained: dict[str, TrainReply] = field(default_factory=dict)
    release: Release | None = None
    evaluated: dict[str, EvaluateReply] = field(default_factory=dict)
    reduced: Release | None = None
    seconds: dict[str, float] = field(default_factory=dict)


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Entry point for Flower; the run folder is in the run's configuration."""
    coordinate(grid, Path(str(context.run_config["folder"])))


def coordinate(grid: Grid, folder: Path) -> Findings:
    """Run to the end over whoever is there.

    Args:
        grid: The engine.
        folder: The run folder, with ``config.yaml``; what arrives is kept in it, and is not asked for again.

    Returns:
        What was found; silos that failed are in it too.

    Raises:
        FederationError: nobody is left.
    """
    return Coordinator(grid, folder).run()


class Coordinator:
    """One run. All state that matters is in the run folder."""

    def __init__(self, grid: Grid, folder: Path, names: Mapping[int, str] | None = None) -> None:
        """Read the run folder.

        Args:
            grid: The engine.
            folder: The run folder.
            names: What the engine calls its nodes, for nodes that fail before they say who they are.
        """
        self.grid = grid
        self._names = dict(names or {})
        self.folder = folder
        self.config = read_config(RunConfig, folder / "config.yaml", [])
        self.anchor: Anchor = resolve(self.config.anchor)
        self.journal = Journal(folder / "journal.jsonl")
        self.history = History(folder / "ledger.db")
        self.packages = BlobStore(folder / "packages")
        self.found = Findings()
        self._nodes: dict[str, int] = {}
        self._held: dict[str, set[str]] = {}

    def run(self) -> Findings:
        """All phases in order."""
        with closing(self.history):
            for phase in (self.announce, self.train, self.integrate, self.evaluate):
                began = time.monotonic()
                log.info("phase: %s", phase.__name__)
                phase()
                self.found.seconds[phase.__name__] = time.monotonic() - began
        return self.found

    def announce(self) -> None:
        """Who is there, with what; a silo whose data cannot be used is known now, before any training."""
        nodes = list(self.grid.get_node_ids())
        replies = self._ask([self._message(node, MessageType.QUERY, None) for node in nodes])
        for node, reply in replies.items():
            said = self._said(node, reply, Announcement)
            if said is None:
                continue
            if said.anchor != self.anchor.digest:
                self._leave_out(
                    said.owner, f"has another anchor ({said.anchor}); give its node anchor {self.anchor.name}"
                )
            elif said.owner in self.found.silos:
                self._leave_out(said.owner, "is announced by two nodes; owners need names of their own")
            else:
                self.found.silos[said.owner] = said
                self._nodes[said.owner] = node
                self._held[said.owner] = set(said.held)
                log.info("%s: %s, %s training tokens", said.owner, said.domain, f"{said.tokens['train']:,}")
        self._need_somebody()
        if self.found.failures and not self.config.incomplete:
            raise FederationError(
                f"nothing has been trained, because not every silo can take part: {self._reasons()}. "
                "Mend it and run again, or go on without it: incomplete=true"
            )
        for owner in sorted(self._nodes):
            self.history.admit(self.found.silos[owner])

    def train(self) -> None:
        """An expert from everyone; those that have arrived before are not asked for again."""
        unit = self.train_unit()
        waiting = []
        for owner in sorted(self._nodes):
            kept = self._journalled(owner, unit)
            if kept is not None:
                log.info("%s: its expert had arrived before", owner)
                self._count(owner, *kept)
            else:
                waiting.append(self._message(self._nodes[owner], MessageType.TRAIN, unit))
        for node, reply in self._ask(waiting).items():
            said = self._said(node, reply, TrainReply)
            if said is not None:
                self._accept(self._owner(node), said, reply, unit)
        self._nodes = {owner: node for owner, node in self._nodes.items() if owner in self.found.trained}
        self._need_somebody()

    def integrate(self) -> None:
        """The release: no data, no gradient step."""
        config = self.config
        members = [self._member(owner) for owner in sorted(self.found.trained)]
        made = make_release(1, self.anchor, config.expert.kind, config.integrator, config.router, members)
        # A run that goes on with more silos than before makes a further release; releases are immutable.
        release = numbered(made, self.folder / "releases")
        self.found.release = release
        packages = {member.owner: self.packages.get(member.blob) for member in members}
        write_release(release, packages, self.folder / "releases")
        self.history.release(release)
        log.info(
            "release %d: %s of %s, %s",
            release.number,
            release.integrator.name,
            ", ".join(release.owners),
            release.digest,
        )
        if config.withdraw in release.owners and len(release.owners) > 1:
            self.found.reduced = numbered(release.without(config.withdraw), self.folder / "releases")
            write_release(self.found.reduced, packages, self.folder / "releases")
            self.history.withdraw(config.withdraw)
            self.history.release(self.found.reduced)

    def evaluate(self) -> None:
        """Every silo measures the models on its own test text."""
        release = self.found.release
        assert release is not None
        models = variants(release, self.config)
        if self.found.reduced is not None:
            models += withdrawal_variants(release, self.config.withdraw)
        unit = self._evaluate_unit(release, models)
        asked = {self._nodes[owner]: self._evaluate_message(owner, unit) for owner in sorted(self._nodes)}
        for node, reply in self._ask(list(asked.values())).items():
            said = self._said(node, reply, EvaluateReply)
            if said is not None and said.missing:
                said = self._send_again(node, unit, said)
            if said is not None:
                self.found.evaluated[self._owner(node)] = said
        if not self.found.evaluated:
            raise FederationError(f"no silo could evaluate the mixture: {self._reasons()}")

    def train_unit(self) -> TrainUnit:
        """What every silo is asked to train."""
        config = self.config
        return TrainUnit(
            anchor=self.anchor.digest,
            expert=config.expert,
            training=config.training,
            router=config.training_router,
            embedder=config.descriptor.embedder,
            descriptor_documents=config.descriptor.documents,
            descriptor_counted=config.descriptor.counted,
            seed=config.seed,
        )

    def _evaluate_unit(self, release: Release, models: list[Variant]) -> EvaluateUnit:
        evaluation = self.config.evaluation
        return EvaluateUnit(
            anchor=self.anchor.digest,
            members=release.members,
            variants=models,
            windows=evaluation.windows,
            batch=evaluation.batch,
        )

    def _accept(self, owner: str, said: TrainReply, reply: Message, unit: TrainUnit) -> None:
        """Verify a package before it counts; a refused one leaves its owner out, and nothing else."""
        try:
            unpack_blobs(reply.content.config_records["blobs"], self.packages)
            package = self._verify(owner, said)
        except (AtollError, KeyError) as error:
            self._leave_out(owner, f"its package is refused: {error}")
            return
        self.journal.write("trained", owner, unit.address, said.__dict__)
        log.info("%s: expert %s arrived", owner, said.digest[:19])
        self._count(owner, said, package)

    def _count(self, owner: str, said: TrainReply, package: ExpertPackage) -> None:
        """An expert is the run's from now on, if its owner permits any use of it."""
        if self.history.accept(said, package.card):
            self.found.trained[owner] = said
        else:
            self._leave_out(owner, f"permits no use of its expert: its consent ended on {package.card.consent.until}")

    def _verify(self, owner: str, said: TrainReply) -> ExpertPackage:
        key = PublicKey.from_hex(self.found.silos[owner].public_key)
        package = verify(self.packages.get(said.blob), owner, key, self.anchor)
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

    def _evaluate_message(self, owner: str, unit: EvaluateUnit) -> Message:
        message = self._message(self._nodes[owner], MessageType.EVALUATE, unit)
        wanted = [member.blob for member in unit.members]
        message.content["blobs"] = pack_blobs(self.packages, wanted, self._held[owner])
        return message

    def _send_again(self, node: int, unit: EvaluateUnit, said: EvaluateReply) -> EvaluateReply | None:
        """A silo may have lost a blob that it announced."""
        owner = self._owner(node)
        self._held[owner] -= set(said.missing)
        reply = self._ask([self._evaluate_message(owner, unit)])[node]
        again = self._said(node, reply, EvaluateReply)
        if again is not None and again.missing:
            self._leave_out(owner, f"does not keep the blobs that it is sent ({', '.join(again.missing)})")
            return None
        return again

    def _member(self, owner: str) -> MemberRef:
        trained = self.found.trained[owner]
        key = self.found.silos[owner].public_key
        return MemberRef(owner=owner, digest=trained.digest, blob=trained.blob, public_key=key)

    def _message(self, node: int, kind: str, unit: Unit | None) -> Message:
        content = RecordDict({"unit": ConfigRecord({"json": unit.to_json() if unit else "{}"})})
        return self.grid.create_message(content, kind, node, "")

    def _ask(self, messages: Iterable[Message]) -> dict[int, Message]:
        sent = list(messages)
        replies = {reply.metadata.src_node_id: reply for reply in self.grid.send_and_receive(sent)} if sent else {}
        for message in sent:
            if message.metadata.dst_node_id not in replies:
                self._leave_out(self._owner(message.metadata.dst_node_id), "did not answer")
        return replies

    def _said(self, node: int, reply: Message, kind: type[U]) -> U | None:
        if reply.has_error():
            self._leave_out(self._owner(node), reply.error.reason or "failed without a reason")
            return None
        try:
            return kind.from_json(str(reply.content.config_records["unit"]["json"]))
        except (FederationError, KeyError) as error:
            self._leave_out(self._owner(node), f"sent something else than was asked: {error}")
            return None

    def _owner(self, node: int) -> str:
        return next(
            (owner for owner, known in self._nodes.items() if known == node), self._names.get(node, f"node {node}")
        )

    def _leave_out(self, owner: str, reason: str) -> None:
        log.warning("%s is left out: %s", owner, reason)
        self.found.failures[owner] = reason

    def _need_somebody(self) -> None:
        if not self._nodes:
            raise FederationError(f"no silo is left: {self._reasons()}")

    def _reasons(self) -> str:
        return "; ".join(f"{owner}: {reason}" for owner, reason in self.found.failures.items()) or "none was there"


__all__ = ["Coordinator", "Findings", "app", "coordinate", "main"]
