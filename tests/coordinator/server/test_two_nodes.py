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
from atoll.coordinator.server.node_instances import RefusedSessions
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
        self.ask(Conversation(self._shop, self, "clinic", 1))  # type: ignore[arg-type]

    def ask(self, talk: Conversation) -> None:
        """One hello of a conversation, and its answer."""
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


def test_a_copy_that_is_kept_out_by_the_node_that_is_connected_is_noticed(
    shop: Shop, nodes: Nodes, tmp_path: Path
) -> None:
    """SuperLink holds one connection for a key, and logs that it refused another."""
    nodes.start("clinic")
    nodes.hello("clinic")
    path = tmp_path / "superlink.log"
    path.write_text("SuperNode with node ID 7 could not be activated.\n")
    refused = RefusedSessions(path)
    with path.open("a") as handle:
        handle.write("Push replies\nexception: SuperNode with node ID 1 could not be activated.\nSuperNode with")
    assert refused.news() == {1}
    assert not refused.news()
    talk = Conversation(shop, nodes, "clinic", 1)  # type: ignore[arg-type]
    talk.rival()
    for _ in range(3):
        nodes.ask(talk)
    assert any("tries to connect" in alarm for alarm in alarms(shop))
    assert "tries to connect" in nodes.alarm("clinic")


def test_a_node_that_comes_back_after_a_crash_is_no_copy(shop: Shop, nodes: Nodes) -> None:
    nodes.start("clinic")
    nodes.hello("clinic")
    talk = Conversation(shop, nodes, "clinic", 1)  # type: ignore[arg-type]
    talk.rival()  # SuperLink still holds its former connection
    nodes.start("clinic")
    for _ in range(3):
        nodes.ask(talk)
    assert not alarms(shop)
    assert not nodes.alarm("clinic")


def test_what_cannot_be_read_is_begun_anew(shop: Shop, nodes: Nodes) -> None:
    nodes.start("clinic")
    nodes.hello("clinic")
    (shop.folder.root / "instances.json").write_text("[")
    nodes.hello("clinic")
    assert not alarms(shop)
