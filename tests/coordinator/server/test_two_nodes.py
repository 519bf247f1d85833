"""A copy of a node's folder in use beside it: both sides notice, and nobody cries wolf over a restart."""

import shutil
from pathlib import Path

import pytest
from flwr.app import Message
from flwr.supercore.task_identity import TaskIdentity
from tests.coordinator.server.conftest import KEYS

from atoll.clients.gate.gate import Gate
from atoll.clients.gate.policy import Policy
from atoll.coordinator.server import conversation
from atoll.coordinator.server.conversation import Conversation
from atoll.coordinator.server.shop import Shop


class Nodes:
    """One address under which several folders answer, whichever a test names."""

    def __init__(self, shop: Shop, root: Path) -> None:
        self._shop, self._root = shop, root
        self._policy = Policy(coordinators=[shop.key.public.hex])
        self._answers: list[Message] = []
        self.gates: dict[str, Gate] = {}
        self.answering = ""
        self.lost = False

    def start(self, name: str, copy_of: str = "") -> None:
        folder = self._root / name
        shutil.copytree(self._root / copy_of, folder) if copy_of else folder.mkdir(exist_ok=True)
        self.gates[name] = Gate(folder, "clinic", KEYS["clinic"], lambda: self._policy)

    def push_messages(self, messages: list[Message]) -> list[str]:
        for message in messages:
            message.metadata.__dict__["_message_id"] = "m"
            answer = self.gates[self.answering].handle(message)
            self._answers += [] if self.lost else [answer]
        return ["m"]

    def hello(self, name: str) -> None:
        """The coordinator, which may have been started anew, says hello, and this node answers."""
        self.answering = name
        talk = Conversation(self._shop, self, "clinic", 1)  # type: ignore[arg-type]
        talk.speak(self._shop.ledger.state())
        answers, self._answers = self._answers, []
        for answer in answers:
            talk.hear(answer)

    def alarm(self, name: str) -> str:
        path = self._root / name / "alarms.log"
        return path.read_text() if path.exists() else ""


@pytest.fixture
def nodes(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nodes:
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, 1
    monkeypatch.setattr(conversation, "_HELLO", -1.0)
    (tmp_path / "nodes").mkdir()
    return Nodes(shop, tmp_path / "nodes")


def alarms(shop: Shop) -> list[str]:
    return [failure.reason for failure in shop.live.view().failures if "ALARM" in failure.reason]


def test_two_live_nodes_under_one_key_raise_an_alarm_on_both_sides(shop: Shop, nodes: Nodes) -> None:
    nodes.start("clinic")
    nodes.hello("clinic")
    nodes.start("thief", copy_of="clinic")
    nodes.hello("thief")
    assert not alarms(shop), "as far as anybody knows yet, it is the clinic that was started anew"
    nodes.hello("clinic")
    assert "ALARM" in nodes.alarm("clinic")
    assert "two nodes" in alarms(shop)[0]


def test_a_copy_that_answered_while_the_node_was_away_is_noticed_when_it_comes_back(shop: Shop, nodes: Nodes) -> None:
    nodes.start("clinic")
    nodes.hello("clinic")
    nodes.start("thief", copy_of="clinic")
    nodes.hello("thief")
    nodes.start("clinic")
    nodes.hello("clinic")
    assert "ALARM" in nodes.alarm("clinic")
    assert alarms(shop)


def test_a_restart_is_no_alarm_even_where_answers_were_lost(shop: Shop, nodes: Nodes) -> None:
    for lost in (False, False, True, True, False):
        nodes.start("clinic")
        nodes.lost = lost
        nodes.hello("clinic")
        nodes.hello("clinic")
    assert not alarms(shop)
    assert not nodes.alarm("clinic")


def test_what_cannot_be_read_is_begun_anew(shop: Shop, nodes: Nodes) -> None:
    nodes.start("clinic")
    nodes.hello("clinic")
    (shop.folder.root / "instances.json").write_text("[")
    nodes.hello("clinic")
    assert not alarms(shop)
