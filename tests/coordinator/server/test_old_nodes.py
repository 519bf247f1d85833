"""A coordinator and nodes of before there were protocol versions."""

import json
from pathlib import Path

import pytest
from flwr.app import Message, MessageType
from flwr.supercore.task_identity import TaskIdentity
from tests.coordinator.server.conftest import KEYS
from tests.coordinator.server.test_conversation import asked

from atoll.clients.gate.gate import Gate
from atoll.clients.gate.policy import Policy
from atoll.clients.gate.statements import Statements
from atoll.coordinator.server import conversation
from atoll.coordinator.server.conversation import Conversation
from atoll.coordinator.server.shop import Shop
from atoll.federation.embedded import EmbeddedGrid
from atoll.federation.envelope import seal, unseal
from atoll.federation.talk import Reply, Request, Work

_UNKNOWN = "a message is no Hello: 'Hello' has an unknown field 'oldest': it has heard"
"""What a node of da9bb40 says to a hello that it does not know."""


class OldNode:
    """Answers as a node of da9bb40 does, and keeps what it was asked."""

    def __init__(self, statements: list[str]) -> None:
        self.asked: list[str] = []
        self._statements, self._answers = statements, list[Message]()

    def push_messages(self, messages: list[Message]) -> list[str]:
        names = []
        for message in messages:
            names.append(f"message {len(self.asked)}")
            message.metadata.__dict__["_message_id"] = names[-1]
            request = Request.from_json(unseal(message.content)[0])
            self.asked.append(request.asks)
            body = {"version": "0.1.0", "statements": self._statements}
            known = set(json.loads(request.body)) <= {"heard"}
            reply = Reply(
                owner="clinic",
                nonce=request.nonce,
                body=json.dumps(body) if known else "",
                refused="" if known else _UNKNOWN,
            )
            self._answers.append(Message(seal(reply.to_json(), KEYS["clinic"]), reply_to=message))
        return names

    def answers(self) -> list[Message]:
        answers, self._answers = self._answers, []
        return answers


def test_an_old_node_is_given_no_work_and_its_owner_is_heard(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, 1
    monkeypatch.setattr(conversation, "_HELLO", -1.0)
    asked(shop)
    said = Statements(tmp_path / "statements", "clinic", KEYS["clinic"])
    said.say(expert="", purposes=[], until=None, words="no more")
    node = OldNode(said.after(0))
    one = Conversation(shop, node, "clinic", 1)  # type: ignore[arg-type]
    for _ in range(6):
        one.speak(shop.ledger.state())
        for answer in node.answers():
            one.hear(answer)
    assert set(node.asked) == {"hello"}
    assert shop.ledger.state().owners["clinic"].statements == 1
    (failure,) = shop.live.view().failures
    assert failure.reason.startswith("the node of 'clinic' must upgrade Atoll")
    assert shop.live.view().barred == {"clinic": failure.reason}


def test_an_old_coordinator_is_refused_and_hears_consent(shop: Shop, tmp_path: Path) -> None:
    policy = Policy(coordinators=[shop.key.public.hex])
    gate = Gate(tmp_path, "clinic", KEYS["clinic"], lambda: policy)
    grid = EmbeddedGrid([], client_app="")

    def ask(asks: str, body: dict[str, object]) -> Reply:
        request = Request(to="clinic", nonce=f"{next(count)}", asks=asks, body=json.dumps(body))
        sealed = seal(request.to_json(), shop.key)
        return Reply.from_json(unseal(gate.handle(grid.create_message(sealed, MessageType.QUERY, 1, "")).content)[0])

    count = iter(range(100))
    unit = asked(shop)[1]
    work = json.loads(Work(work="train", unit=unit, what=shop.unit(unit)).to_json())
    del work["protocol"]
    for refused in (ask("hello", {"heard": 0}), ask("work", work)):
        assert refused.refused.startswith("the coordinator must upgrade Atoll")
    assert not (tmp_path / "works").exists()
    Statements(tmp_path / "statements", "clinic", KEYS["clinic"]).say(expert="", purposes=[], until=None, words="")
    heard = json.loads(ask("hello", {"heard": 0}).body)
    assert set(heard) == {"version", "statements"}
    assert len(heard["statements"]) == 1
    assert ask("hello", {"heard": 1}).refused
