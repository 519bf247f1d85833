"""A coordinator's talk with a real gate, over a line that loses, changes, repeats and forges."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity
from tests.coordinator.server.conftest import KEYS, package

from atoll.clients.gate.gate import Gate
from atoll.clients.gate.policy import Policy
from atoll.coordinator.server import conversation
from atoll.coordinator.server.calls import call_training
from atoll.coordinator.server.conversation import Conversation
from atoll.coordinator.server.desk import Desk
from atoll.coordinator.server.shop import Shop
from atoll.experts.signing import OwnerKey, PublicKey
from atoll.federation.envelope import RECORD, seal
from atoll.federation.talk import DONE, FAILED, Work, WorkReply
from atoll.federation.units import TrainReply

Change = Callable[[Message], Message | None]


class Line:
    """Brings every message to the gate, and what a test makes of the answer back."""

    def __init__(self, folder: Path, coordinator: PublicKey) -> None:
        self._folder, self._policy = folder, Policy(coordinators=[coordinator.hex])
        self.change: Change = lambda reply: reply
        self.answers: list[Message] = []
        self._count = 0

    def open(self) -> None:
        """The gate takes up what is on the disk."""
        self._gate = Gate(self._folder, "clinic", KEYS["clinic"], lambda: self._policy)

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        names = []
        for message in messages:
            self._count += 1
            names.append(f"message {self._count}")
            message.metadata.__dict__["_message_id"] = names[-1]
            reply = self.change(self._gate.handle(message))
            if reply is not None:
                self.answers.append(reply)
        return names


@pytest.fixture
def line(shop: Shop, tmp_path: Path) -> Line:
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, 1
    return Line(tmp_path, shop.key.public)


def asked(shop: Shop) -> tuple[str, str]:
    """Ask the clinic to train; the call and the unit."""
    call = call_training(shop.ledger, shop.anchor.digest, ["clinic"], [])
    Desk(shop).turn()
    return call.call, shop.ledger.state().calls[call.call].units["clinic"]


def trained(
    shop: Shop, tmp_path: Path, unit: str, *, size: int | None = None, state: str = DONE, call: str = ""
) -> Path:
    """Let the clinic's node have done the unit; the package's file."""
    file = package(shop.anchor, "clinic", tmp_path / "made.atoll")
    gate = Gate(tmp_path, "clinic", KEYS["clinic"], lambda: Policy(coordinators=[]))
    blob = gate.works.outgoing.adopt(file)
    folder = tmp_path / "works" / unit
    folder.mkdir(parents=True)
    work = Work(work="train", unit=unit, what=shop.unit(unit), call=call)
    said = TrainReply(digest=blob, blob=blob, metrics={})
    real = file.stat().st_size if size is None else size
    reply = WorkReply(state=state, result=said.to_json(), blobs={blob: real}, note="as it went")
    (folder / "work.json").write_text(work.to_json())
    (folder / "reply.json").write_text(reply.to_json())
    return file


def talk(shop: Shop, line: Line, monkeypatch: pytest.MonkeyPatch, turns: int = 12) -> None:
    """Speak and listen, without the pauses that a network needs."""
    for name in ("_GIVE_UP", "_SOONEST", "_LATEST", "_AFTER_FAILURE"):
        monkeypatch.setattr(conversation, name, -1.0)
    line.open()
    one = Conversation(shop, line, "clinic", 1)  # type: ignore[arg-type]
    for _ in range(turns):
        one.speak(shop.ledger.state())
        answers, line.answers = line.answers, []
        for answer in answers:
            one.hear(answer)


def arrived(shop: Shop) -> bool:
    return [expert.accepted.owner for expert in shop.ledger.state().experts.values()] == ["clinic"]


def failures(shop: Shop) -> str:
    return "; ".join(failure.reason for failure in shop.live.view().failures)


def test_an_expert_arrives(shop: Shop, line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, unit = asked(shop)
    file = trained(shop, tmp_path, unit)
    talk(shop, line, monkeypatch)
    assert arrived(shop)
    assert shop.ledger.state().bytes_from == {"clinic": file.stat().st_size}
    assert not shop.ledger.state().open


def test_lost_answers_are_asked_for_again(
    shop: Shop, line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, unit = asked(shop)
    trained(shop, tmp_path, unit)
    count = iter(range(1000))
    line.change = lambda reply: reply if next(count) % 3 == 0 else None
    talk(shop, line, monkeypatch, turns=60)
    assert arrived(shop)


def _forged(reply: Message) -> Message:
    fields = reply.content.config_records[RECORD]
    return Message(seal(str(fields["json"]), OwnerKey.generate(), bytes(fields["chunk"])), reply_to=_asked(reply))  # type: ignore[arg-type]


def _other_words(reply: Message) -> Message:
    fields = dict(reply.content.config_records[RECORD])
    changed = {**fields, "json": str(fields["json"]).replace("clinic", "court")}
    return Message(RecordDict({RECORD: ConfigRecord(changed)}), reply_to=_asked(reply))


def _other_owner(reply: Message) -> Message:
    text = str(reply.content.config_records[RECORD]["json"]).replace('"owner":"clinic"', '"owner":"court"')
    return Message(seal(text, KEYS["clinic"]), reply_to=_asked(reply))


def _asked(reply: Message) -> Message:
    """Something with the question's id, to answer it once more."""
    question = Message(RecordDict(), 1, "query")
    question.metadata.__dict__["_message_id"] = reply.metadata.reply_to_message_id
    return question


@pytest.mark.parametrize(
    ("change", "reason"),
    [(_forged, "not 'clinic's key"), (_other_words, "does not fit"), (_other_owner, "repeated or forged")],
    ids=["another key", "other words", "another owner"],
)
def test_forged_answers_change_nothing(
    shop: Shop, line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Change, reason: str
) -> None:
    _, unit = asked(shop)
    trained(shop, tmp_path, unit)
    head, line.change = shop.ledger.state().head, change
    talk(shop, line, monkeypatch)
    assert shop.ledger.state().head == head
    assert reason in failures(shop)


def test_an_old_answer_is_no_answer_to_a_new_question(
    shop: Shop, line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, unit = asked(shop)
    trained(shop, tmp_path, unit)
    first: list[Message] = []

    def repeat(reply: Message) -> Message:
        first.append(reply)
        return Message(first[0].content, reply_to=_asked(reply))

    line.change = repeat
    talk(shop, line, monkeypatch)
    assert not shop.ledger.state().experts
    assert "repeated or forged" in failures(shop)


@pytest.mark.parametrize("size", [0, 1 << 40])
def test_odd_sizes_are_refused_before_anything_is_fetched(
    shop: Shop, line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    _, unit = asked(shop)
    trained(shop, tmp_path, unit, size=size)
    talk(shop, line, monkeypatch)
    assert "bytes" in shop.ledger.state().done["clinic", unit].failure
    assert not shop.packages.digests()


def test_what_failed_at_the_node_is_written_down_and_called_again(
    shop: Shop, line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call, unit = asked(shop)
    trained(shop, tmp_path, unit, state=FAILED, call=call)
    talk(shop, line, monkeypatch)
    assert shop.ledger.state().done["clinic", unit].failure == "as it went"
    asked(shop)
    assert ("clinic", unit) in shop.ledger.state().open
    talk(shop, line, monkeypatch)
    assert ("clinic", unit) in shop.ledger.state().open, "it is taken on again, and waits for its turn"
