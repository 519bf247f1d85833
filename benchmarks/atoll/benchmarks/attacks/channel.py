"""The coordinator's connection to a node, as an attacker uses it who holds a valid key.

``Guarded`` speaks to a real :class:`~atoll.clients.gate.gate.Gate` in sealed messages: what it lets through is what an
institution would have let through. ``Open`` asks the same node's evaluation and training without a gate, which is what
the gate of commit da9bb40 let through: it shows that an attack works.
"""

import itertools
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flwr.app import Context, Message, MessageType, RecordDict
from flwr.clientapp import ClientApp

from atoll.benchmarks.attacks.crafted import CraftedExpert, Model
from atoll.benchmarks.attacks.silo import AttackedSilo
from atoll.clients.app import app as client_app
from atoll.clients.gate.gate import Gate
from atoll.clients.gate.policy import Policy
from atoll.clients.node import Node, open_node
from atoll.clients.work import evaluate, train_expert
from atoll.errors import AtollError
from atoll.experts.package import ExpertPackage, read_package
from atoll.experts.signing import OwnerKey
from atoll.federation.embedded import EmbeddedGrid
from atoll.federation.envelope import seal, unseal
from atoll.federation.measuring import Candidate, Measurement, MeasureUnit
from atoll.federation.talk import (
    DONE,
    FETCH,
    QUEUED,
    STORE,
    WORK,
    WORKING,
    Fetch,
    FetchReply,
    Reply,
    Request,
    Store,
    Work,
    WorkReply,
)
from atoll.federation.units import Choice, EvaluateReply, EvaluateUnit, TrainReply, TrainUnit, Unit, Variant

_PAUSE = 0.002
_LONGEST = 120.0


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What a node answered of one model.

    Attributes:
        loss: Mean, in nats a token.
        shares: Of the routing weight, by slot.
        tokens: How many were predicted; 0 where a node does not say.
        documents: How many the figures rest on, each counting alike; 0 where tokens count alike.
    """

    loss: float
    shares: Mapping[str, float]
    tokens: int
    documents: int

    @property
    def weight(self) -> int:
        """What the mean loss is a mean of."""
        return self.documents or self.tokens


@dataclass(slots=True)
class Spent:
    """What an attack used.

    Attributes:
        models: Answered figures of models.
        trainings: Packages that came.
        refusals: Questions that were refused, with the first reasons.
    """

    models: int = 0
    trainings: int = 0
    refusals: int = 0
    reasons: list[str] = field(default_factory=list)

    def refuse(self, why: str) -> None:
        """Count a refusal; reasons are kept once each."""
        self.refusals += 1
        if why not in self.reasons:
            self.reasons.append(why)


class Channel(ABC):
    """Questions to one silo's node."""

    def __init__(self, silo: AttackedSilo) -> None:
        self.silo = silo
        self.spent = Spent()

    def evaluate(self, models: Sequence[Model], *, split: str, windows: int = 0) -> list[Figures | None]:
        """What the node says of each model, in the free form of commit da9bb40; ``None`` where it refuses.

        Args:
            models: What to evaluate, all in one unit.
            split: On which documents.
            windows: How many windows of them, evenly spaced; 0 for all.
        """
        experts = _experts(models)
        variants = [
            Variant(
                name=f"model-{number}",
                members=[expert.ref.owner for expert in model.members],
                integrator=model.integrator if model.members else Choice(name=""),
                router=model.router,
                entitlement=None if model.entitlement is None else list(model.entitlement),
            )
            for number, model in enumerate(models)
        ]
        unit = EvaluateUnit(
            anchor=self.silo.anchor.digest,
            members=[expert.ref for expert in experts.values()],
            variants=variants,
            split=split,
            windows=windows,
        )
        return self._figures(self._evaluate(unit, experts), [variant.name for variant in variants])

    @abstractmethod
    def measure(self, models: Sequence[Model], *, split: str = "test", shares: bool = False) -> list[Figures | None]:
        """What the node says of each model as a signed candidate, in one unit; ``None`` where it refuses.

        Args:
            models: What to measure.
            split: On which documents; which of them is the node's choice.
            shares: Whether routing shares are wanted too.
        """

    def measure_each(
        self, models: Sequence[Model], *, split: str = "test", shares: bool = False
    ) -> list[Figures | None]:
        """The same, in a unit for each model: what a budget leaves is used to the end."""
        return [self.measure([model], split=split, shares=shares)[0] for model in models]

    def _figures(self, reply: EvaluateReply | None, names: Sequence[str]) -> list[Figures | None]:
        if reply is None:
            return [None] * len(names)
        found: list[Figures | None] = []
        for name in names:
            there = name in reply.loss
            self.spent.models += there
            shares = reply.shares.get(name, {})
            made = Figures(
                loss=reply.loss.get(name, 0.0), shares=shares, tokens=reply.tokens, documents=reply.documents
            )
            found.append(made if there else None)
        return found

    def train(self, unit: TrainUnit) -> ExpertPackage | None:
        """The package that a training leaves; ``None`` where it is refused."""
        found = self._train(unit)
        self.spent.trainings += found is not None
        return found

    @abstractmethod
    def _evaluate(self, unit: EvaluateUnit, experts: Mapping[str, CraftedExpert]) -> EvaluateReply | None: ...

    @abstractmethod
    def _train(self, unit: TrainUnit) -> ExpertPackage | None: ...

    @abstractmethod
    def close(self) -> None:
        """Nothing more will be asked."""


class Open(Channel):
    """No gate: whatever is asked is answered exactly."""

    def __init__(self, silo: AttackedSilo) -> None:
        super().__init__(silo)
        self._node = Node(silo.folder)

    def _evaluate(self, unit: EvaluateUnit, experts: Mapping[str, CraftedExpert]) -> EvaluateReply | None:
        for expert in experts.values():
            self._node.blobs.put(expert.data)
        try:
            return evaluate(self._node, unit, _quiet)
        except AtollError as error:
            self.spent.refuse(str(error))
            return None

    def close(self) -> None:
        """Nothing runs."""

    def measure(self, models: Sequence[Model], *, split: str = "test", shares: bool = False) -> list[Figures | None]:
        """All of a split, exactly."""
        return self.evaluate(models, split=split)

    def _train(self, unit: TrainUnit) -> ExpertPackage | None:
        try:
            _, package = train_expert(self._node, unit, _quiet)
        except AtollError as error:
            self.spent.refuse(str(error))
            return None
        return read_package(package, trusted=None)


class Guarded(Channel):
    """The node's gate, under a policy, in sealed messages of a coordinator whose key the policy lists."""

    def __init__(self, silo: AttackedSilo, coordinator: OwnerKey, policy: Policy | None = None) -> None:
        """Connect.

        Args:
            silo: Whose gate.
            coordinator: The attacker's key.
            policy: The institution's; the product's default with that key if not given.
        """
        super().__init__(silo)
        self._key = coordinator
        rules = policy or Policy(coordinators=[coordinator.public.hex])
        open_node.cache_clear()
        owner = Node(silo.folder).key
        self._gate = Gate(silo.folder, "clinic", owner, lambda: rules)
        self._gate.works._grid = _SameProcess(silo.folder)
        self._gate.works.start()
        self._nonces = itertools.count()

    def close(self) -> None:
        """End the gate's thread."""
        self._gate.works.stop()

    def _evaluate(self, unit: EvaluateUnit, experts: Mapping[str, CraftedExpert]) -> EvaluateReply | None:
        done = self._work("evaluate", unit, {blob: expert.data for blob, expert in experts.items()})
        return None if done is None else EvaluateReply.from_json(done.result)

    def measure(self, models: Sequence[Model], *, split: str = "test", shares: bool = False) -> list[Figures | None]:
        """As the gate lets it be measured: clipped, rounded, out of a budget."""
        candidates = [self._candidate(model) if model.members else None for model in models]
        asked = [
            Measurement(
                name=f"model-{number}",
                candidate="" if candidate is None else candidate.digest,
                entitlement=None if model.entitlement is None else list(model.entitlement),
                shares=shares,
            )
            for number, (model, candidate) in enumerate(zip(models, candidates, strict=True))
        ]
        unit = MeasureUnit(
            anchor=self.silo.anchor.digest,
            candidates=list({each.digest: each for each in candidates if each is not None}.values()),
            measurements=asked,
            split=split,
        )
        blobs = {blob: expert.data for blob, expert in _experts(models).items()}
        done = self._work("evaluate", unit, blobs)
        reply = None if done is None else EvaluateReply.from_json(done.result)
        return self._figures(reply, [each.name for each in asked])

    def _candidate(self, model: Model) -> Candidate:
        return Candidate.sign(
            self._key,
            anchor=self.silo.anchor.digest,
            members=[expert.ref for expert in model.members],
            integrator=model.integrator,
            router=model.router,
        )

    def _train(self, unit: TrainUnit) -> ExpertPackage | None:
        done = self._work("train", unit, {})
        if done is None:
            return None
        return read_package(self._fetched(TrainReply.from_json(done.result).blob), trusted=None)

    def _work(self, kind: str, unit: Unit, blobs: Mapping[str, bytes]) -> WorkReply | None:
        """Have a unit done: send what is missing, and wait."""
        work = Work(work=kind, unit=unit.address, what=unit.to_json(), call=f"{time.monotonic_ns()}")
        end = time.monotonic() + _LONGEST
        while time.monotonic() < end:
            reply, _ = self._ask(WORK, work)
            if reply.refused:
                self.spent.refuse(reply.refused)
                return None
            answer = WorkReply.from_json(reply.body)
            if answer.state == DONE:
                return answer
            if answer.state not in (QUEUED, WORKING):
                self.spent.refuse(answer.note)
                return None
            for blob in answer.missing:
                self._ask(STORE, Store(blob=blob, size=len(blobs[blob]), offset=0), blobs[blob])
            time.sleep(_PAUSE)
        raise AssertionError(f"the node has not answered within {_LONGEST:.0f} s")

    def _fetched(self, blob: str) -> bytes:
        data, size = b"", 1
        while len(data) < size:
            reply, piece = self._ask(FETCH, Fetch(blob=blob, offset=len(data), length=1 << 20))
            size = FetchReply.from_json(reply.body).size
            data += piece
        return data

    def _ask(self, asks: str, body: Unit, chunk: bytes = b"") -> tuple[Reply, bytes]:
        nonce = f"{time.monotonic_ns()}-{next(self._nonces)}"
        request = Request(to="clinic", nonce=nonce, asks=asks, body=body.to_json())
        content = seal(request.to_json(), self._key, chunk)
        message = EmbeddedGrid([], client_app="").create_message(content, MessageType.QUERY, 1, "")
        reply = self._gate.handle(message)
        if reply.has_error():
            raise AssertionError(f"the gate does not know the attacker's key: {reply.error.reason}")
        text, piece, _ = unseal(reply.content)
        return Reply.from_json(text), piece


class _SameProcess(EmbeddedGrid):
    """The worker without a process of its own: the same ``ClientApp``, called from the gate's thread."""

    def __init__(self, folder: Path) -> None:
        super().__init__([], client_app="")
        self._context = Context(1, 1, {"folder": str(folder), "outgoing": str(folder / "outgoing")}, RecordDict(), {})
        self._app: ClientApp = client_app

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """Answers, at once."""
        return [self._app(message, self._context) for message in messages]


def _experts(models: Sequence[Model]) -> dict[str, CraftedExpert]:
    """All members of some models, by blob."""
    return {expert.ref.blob: expert for model in models for expert in model.members}


def _quiet(done: int, total: int, note: str) -> None:
    """Nobody looks."""
