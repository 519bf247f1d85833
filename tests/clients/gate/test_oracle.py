"""The attack of issue 14: one private window, asked about by as many models as one likes.

It uses nothing that da9bb40 has not, where it fails: all losses of the window come out to
the last digit.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from flwr.app import MessageType
from tests.clients.conftest import documents, quiet, train_unit, write_silo

from atoll.clients.gate.gate import Gate
from atoll.clients.gate.policy import Policy
from atoll.clients.node import Node
from atoll.clients.work import evaluate, train_expert
from atoll.experts.package import read_package, write_package
from atoll.experts.signing import OwnerKey
from atoll.federation.blobs import blob_digest
from atoll.federation.embedded import EmbeddedGrid
from atoll.federation.envelope import seal, unseal
from atoll.federation.talk import WORK, Reply, Request, Work, WorkReply
from atoll.federation.units import Choice, EvaluateUnit, MemberRef, Variant

COORDINATOR, PUPPET = OwnerKey.generate(), OwnerKey.generate()
MODELS = 12


@pytest.mark.parametrize("split", ["train", "test"])
def test_losses_of_one_private_window_do_not_leave(tmp_path: Path, anchor_folder: Path, split: str) -> None:
    folder = write_silo(tmp_path / "clinic", anchor_folder, "clinic", documents("clinic", 220), data={"test": 0.3})
    node = Node(folder)
    gate = Gate(folder, "clinic", node.key, lambda: Policy(coordinators=[COORDINATOR.public.hex]))
    truth: dict[str, float] = {}

    def send(kind: str, text: str) -> str:
        """The worker, in this process."""
        if kind == MessageType.QUERY:
            return node.announcement().to_json()
        reply = evaluate(node, EvaluateUnit.from_json(text), quiet)
        truth.update(reply.loss)
        return reply.to_json()

    gate.works._send = send  # type: ignore[method-assign]
    members = [crafted(node, gate.works.incoming.put, number, tmp_path) for number in range(MODELS)]
    soup, router = Choice(name="soup"), Choice(name="top-k")
    unit = EvaluateUnit(
        anchor=node.anchor.digest,
        members=members,
        variants=[Variant(name=each.owner, members=[each.owner], integrator=soup, router=router) for each in members],
        split=split,
        windows=1,
    )
    reply = ask(gate, unit)
    assert (reply.state, reply.result) == ("refused", "")
    assert truth == {}, "nothing was computed"
    entries = [json.loads(line)["text"] for line in (folder / "outbox.jsonl").read_text().splitlines()]
    assert not [text for text in entries if "loss" in text and "refus" not in text]


def crafted(node: Node, put: Callable[[bytes], str], number: int, folder: Path) -> MemberRef:
    """One of the models: random weights, signed by a key made up on the spot."""
    template = folder / "template.atoll"
    if not template.exists():
        unit = train_unit(node, steps=1, warmup=0, evaluate_every=1)
        template.write_bytes(train_expert(node, unit, quiet)[1].read_bytes())
    made = read_package(template, trusted=None)
    draw = torch.Generator().manual_seed(number)
    owner, file = f"puppet-{number}", folder / f"{number}.atoll"
    digest = write_package(
        file,
        card=replace(made.card, owner=owner),
        weights={name: torch.randn(value.shape, generator=draw) for name, value in made.weights.items()},
        descriptor=made.descriptor,
        key=PUPPET,
        extra=made.extra,
    )
    put(file.read_bytes())
    return MemberRef(owner=owner, digest=digest, blob=blob_digest(file.read_bytes()), public_key=PUPPET.public.hex)


def ask(gate: Gate, unit: EvaluateUnit) -> WorkReply:
    """Through the gate, until it is done."""
    work = Work(work="evaluate", unit=unit.address, what=unit.to_json(), call="c")
    for nonce in ("first", "second"):
        request = Request(to="clinic", nonce=nonce, asks=WORK, body=work.to_json())
        sealed = seal(request.to_json(), COORDINATOR, b"")
        message = EmbeddedGrid([], client_app="").create_message(sealed, MessageType.QUERY, 1, "")
        reply = Reply.from_json(unseal(gate.handle(message).content)[0])
        assert not reply.refused
        while (ready := gate.works._next()) is not None:
            gate.works._do(ready)
    return WorkReply.from_json(reply.body)
