"""A real gate over a tiny anchor, its worker in this process; a coordinator with puppets that crafts experts."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from flwr.app import MessageType
from tests.clients.conftest import documents, quiet, train_unit, write_silo
from torch import Tensor

from atoll.clients.gate.gate import Gate
from atoll.clients.gate.policy import Policy
from atoll.clients.measuring.policy import MeasuringPolicy
from atoll.clients.measuring.records import MeasureOrder, RecordsQuestion
from atoll.clients.measuring.worker import list_records, measure_records
from atoll.clients.node import Node
from atoll.clients.work import train_expert
from atoll.experts.package import read_package, write_package
from atoll.experts.signing import OwnerKey, Signer
from atoll.federation.blobs import blob_digest
from atoll.federation.embedded import EmbeddedGrid
from atoll.federation.envelope import seal, unseal
from atoll.federation.measuring import Candidate, Measurement, MeasureUnit
from atoll.federation.talk import WORK, Reply, Request, Work, WorkReply
from atoll.federation.units import Choice, EvaluateReply, MemberRef, Unit

COORDINATOR = OwnerKey.generate()
_TEMPLATES: dict[Path, bytes] = {}
Weights = Callable[[str, Tensor], Tensor]


class Silo:
    """One owner's gate and worker, as a coordinator reaches them, and what the coordinator makes up."""

    def __init__(self, folder: Path, anchor: Path, texts: Sequence[str] = (), **rules: Any) -> None:
        self.folder, self.anchor_folder = folder, anchor
        # What is tested is mostly what is asked and counted; noise has tests of its own.
        self.measuring: dict[str, Any] = {"noise": 0.0}
        self.rules: dict[str, Any] = rules
        self.packages = folder.parent / "made-up"
        self.packages.mkdir(exist_ok=True)
        self.orders: list[str] = []
        self._nonce = 0
        self.folder.mkdir(parents=True)
        (self.folder / "measuring.key").write_bytes(bytes(range(32)))  # what chance would give, held fixed
        self.write(texts or documents("clinic", 110))
        self.base = self._template()

    def write(self, texts: Sequence[str]) -> None:
        """Give the owner these documents, and start its node anew."""
        write_silo(self.folder, self.anchor_folder, "clinic", texts, data={"test": 0.35})
        self.restart()

    def restart(self) -> None:
        """As after a reboot: nothing is left but the folder."""
        self.node = Node(self.folder)
        self.gate = Gate(self.folder, "clinic", self.node.key, self.policy)
        self.gate.works._send = self._send  # type: ignore[method-assign]

    def policy(self) -> Policy:
        """The default one, but for what a test changes."""
        made = Policy(
            coordinators=self.rules.get("coordinators", [COORDINATOR.public.hex]),
            measuring=MeasuringPolicy(**self.measuring),
            **{name: value for name, value in self.rules.items() if name != "coordinators"},
        )
        made.check()
        return made

    def expert(self, owner: str, change: Weights, key: Signer | None = None, *, hold: bool = True) -> MemberRef:
        """An expert that nobody trained, signed by whoever likes."""
        key = key or OwnerKey.generate()
        made = read_package(self.base, trusted=None)
        file = self.packages / f"{owner}-{key.public.hex[:8]}.atoll"
        digest = write_package(
            file,
            card=replace(made.card, owner=owner),
            weights={name: change(name, value) for name, value in made.weights.items()},
            descriptor=made.descriptor,
            key=key,
            extra=made.extra,
        )
        content = file.read_bytes()
        if hold:
            self.gate.works.incoming.put(content)
        return MemberRef(owner=owner, digest=digest, blob=blob_digest(content), public_key=key.public.hex)

    def noise(self, owner: str, seed: int, scale: float = 0.5) -> MemberRef:
        """An expert of random weights."""
        return self.expert(owner, random_weights(seed, scale))

    def candidate(self, *members: MemberRef, key: Signer = COORDINATOR, **changes: Any) -> Candidate:
        values = {"integrator": Choice(name="flexolmo"), "router": Choice(name="uniform"), **changes}
        return Candidate.sign(key, anchor=self.node.anchor.digest, members=list(members), **values)

    def unit(self, *candidates: Candidate, measurements: Sequence[Measurement] = (), **more: Any) -> MeasureUnit:
        asked = list(measurements) or [Measurement(name=each.digest, candidate=each.digest) for each in candidates]
        return MeasureUnit(anchor=self.node.anchor.digest, candidates=list(candidates), measurements=asked, **more)

    def ask(self, unit: Unit, *, key: Signer = COORDINATOR, call: str = "c") -> WorkReply:
        """Hand a unit over through the gate, let the node work, and ask what became of it."""
        work = Work(work="evaluate", unit=unit.address, what=unit.to_json(), call=call)
        self._handle(work, key)
        while (ready := self.gate.works._next()) is not None:
            self.gate.works._do(ready)
        return self._handle(work, key)

    def figures(self, unit: Unit, **more: Any) -> EvaluateReply:
        """The same, where it should be answered."""
        reply = self.ask(unit, **more)
        assert reply.state == "done", reply.note
        return EvaluateReply.from_json(reply.result)

    def refused(self, unit: Unit, **more: Any) -> str:
        """Why it is refused; nothing is measured."""
        before = len(self.orders)
        reply = self.ask(unit, **more)
        assert reply.state == "refused", (reply.state, reply.note, reply.result)
        assert not reply.result
        assert len(self.orders) == before
        return reply.note

    def _handle(self, work: Work, key: Signer) -> WorkReply:
        self._nonce += 1
        nonce = f"{id(self)}-{self._nonce}"
        request = Request(to="clinic", nonce=nonce, asks=WORK, body=work.to_json())
        message = EmbeddedGrid([], client_app="").create_message(
            seal(request.to_json(), key, b""), MessageType.QUERY, 1, ""
        )
        reply = Reply.from_json(unseal(self.gate.handle(message).content)[0])
        assert not reply.refused, reply.refused
        return WorkReply.from_json(reply.body)

    def _send(self, kind: str, text: str) -> str:
        if kind == "query.records":
            return list_records(self.node, RecordsQuestion.from_json(text)).to_json()
        assert kind == "evaluate"
        self.orders.append(text)
        return measure_records(self.node, MeasureOrder.from_json(text), quiet).to_json()

    def _template(self) -> Path:
        """A package whose weights are put in others' place; trained once for all tests."""
        file = self.packages / "template.atoll"
        if self.anchor_folder not in _TEMPLATES:
            unit = train_unit(self.node, steps=1, warmup=0, evaluate_every=1)
            _TEMPLATES[self.anchor_folder] = train_expert(self.node, unit, quiet)[1].read_bytes()
        file.write_bytes(_TEMPLATES[self.anchor_folder])
        return file


def random_weights(seed: int, scale: float) -> Weights:
    generator = torch.Generator().manual_seed(seed)
    return lambda name, value: torch.randn(value.shape, generator=generator) * scale


def sent(silo: Silo) -> list[dict[str, Any]]:
    """All that left, as it stands in the outbox."""
    path = silo.folder / "outbox.jsonl"
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.fixture
def silo(tmp_path: Path, anchor_folder: Path) -> Silo:
    return Silo(tmp_path / "clinic", anchor_folder)
