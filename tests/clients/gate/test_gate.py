"""The gate: who asks, whether it may, and every byte that leaves is in the outbox before it goes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flwr.app import ConfigRecord, Message, MessageType, RecordDict

from atoll.clients.gate.gate import Gate
from atoll.clients.gate.outbox import Outbox
from atoll.clients.gate.policy import Policy
from atoll.experts.signing import OwnerKey
from atoll.federation.envelope import seal, unseal
from atoll.federation.talk import DONE, Fetch, Hello, Reply, Request, Store, Work, WorkReply
from atoll.federation.units import EvaluateUnit, MemberRef

COORDINATOR, OWNER = OwnerKey.generate(), OwnerKey.generate()
BLOB = "sha256:" + "a" * 64


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return opened(tmp_path)


def opened(folder: Path, **rules: Any) -> Gate:
    policy = Policy(coordinators=[COORDINATOR.public.hex], **rules)
    return Gate(folder, "clinic", OWNER, lambda: policy)


def message(content: RecordDict) -> Message:
    from atoll.federation.embedded import EmbeddedGrid

    return EmbeddedGrid([], client_app="").create_message(content, MessageType.QUERY, 1, "")


def ask(
    asks: str, body: Any = None, *, nonce: str = "n", to: str = "clinic", chunk: bytes = b"", key: Any = None
) -> Message:
    request = Request(to=to, nonce=nonce, asks=asks, body=(body or Hello()).to_json())
    return message(seal(request.to_json(), key or COORDINATOR, chunk))


def said(reply: Message) -> tuple[Reply, bytes]:
    text, chunk, signer = unseal(reply.content)
    assert signer == OWNER.public
    return Reply.from_json(text), chunk


def test_hello_is_answered_signed_and_written_down(gate: Gate, tmp_path: Path) -> None:
    reply, _ = said(gate.handle(ask("hello")))
    assert (reply.owner, reply.nonce, reply.refused) == ("clinic", "n", "")
    (entry,) = Outbox(tmp_path / "outbox.jsonl").entries()
    assert entry.text == reply.to_json()
    assert entry.bytes == len(reply.to_json())


@pytest.mark.parametrize(
    "forged",
    [
        lambda: ask("hello", key=OwnerKey.generate()),
        lambda: ask("hello", to="court"),
        lambda: message(RecordDict({"atoll": ConfigRecord({"json": "{}"})})),
        lambda: message(RecordDict({})),
        lambda: message(seal("no request", COORDINATOR)),
    ],
    ids=["another key", "another owner", "no envelope", "nothing", "no request"],
)
def test_strangers_learn_nothing_and_leave_no_trace_outside(
    gate: Gate, tmp_path: Path, forged: Callable[[], Message]
) -> None:
    reply = gate.handle(forged())
    assert reply.has_error()
    assert reply.error.reason == "refused"
    assert not (tmp_path / "outbox.jsonl").exists()


def test_changed_messages_are_refused(gate: Gate) -> None:
    genuine = ask("hello", chunk=b"piece")
    fields = dict(genuine.content.config_records["atoll"])
    for change in ({"json": str(fields["json"]).replace("hello", "fetch")}, {"chunk": b"other"}):
        assert gate.handle(message(RecordDict({"atoll": ConfigRecord({**fields, **change})}))).has_error()


def test_a_request_is_answered_once_even_after_a_restart(gate: Gate, tmp_path: Path) -> None:
    assert not gate.handle(ask("hello", nonce="same")).has_error()
    assert gate.handle(ask("hello", nonce="same")).has_error()
    assert opened(tmp_path).handle(ask("hello", nonce="same")).has_error()
    assert not gate.handle(ask("hello", nonce="another")).has_error()


def test_only_results_that_may_leave_are_fetched(gate: Gate, tmp_path: Path) -> None:
    (tmp_path / "outgoing").mkdir()
    blob = gate.works.outgoing.put(b"an expert that nobody has looked at")
    for wanted in (blob, BLOB, "../owner.key", "sha256:" + "../" * 20):
        reply, chunk = said(gate.handle(ask("fetch", Fetch(blob=wanted, offset=0, length=10), nonce=wanted)))
        assert "no result that may leave" in reply.refused
        assert chunk == b""


def test_pieces_are_bounded_and_counted(tmp_path: Path) -> None:
    content = bytes(range(256)) * 10
    blob = opened(tmp_path).works.outgoing.put(content)
    work = tmp_path / "works" / ("0" * 32)
    work.mkdir(parents=True)
    (work / "work.json").write_text(Work(work="train", unit="0" * 32, what="{}").to_json())
    (work / "reply.json").write_text(WorkReply(state=DONE, blobs={blob: len(content)}).to_json())
    gate = opened(tmp_path)
    reply, chunk = said(gate.handle(ask("fetch", Fetch(blob=blob, offset=100, length=1000), nonce="1")))
    assert chunk == content[100:1100]
    for length in (0, -1, 1 << 30):
        reply, chunk = said(gate.handle(ask("fetch", Fetch(blob=blob, offset=0, length=length), nonce=str(length))))
        assert reply.refused
        assert chunk == b""
    counted = list(Outbox(tmp_path / "outbox.jsonl").entries())
    assert [entry.chunk for entry in counted] == [1000, 0, 0, 0]
    assert (counted[0].blob, counted[0].offset) == (blob, 100)


def test_a_day_has_only_so_many_bytes(tmp_path: Path) -> None:
    gate = opened(tmp_path, max_bytes_a_day=250)
    replies = [said(gate.handle(ask("hello", nonce=str(number))))[0] for number in range(3)]
    assert not replies[0].refused
    assert "max_bytes_a_day" in replies[-1].refused


def test_only_what_is_needed_is_stored(gate: Gate) -> None:
    store = Store(blob=BLOB, size=10, offset=0)
    assert "not needed" in said(gate.handle(ask("store", store, nonce="1", chunk=b"x")))[0].refused
    member = MemberRef(owner="court", digest=BLOB, blob=BLOB, public_key=OWNER.public.hex)
    unit = EvaluateUnit(anchor=BLOB, members=[member], variants=[])
    reply, _ = said(gate.handle(ask("work", Work(work="evaluate", unit=unit.address, what=unit.to_json()), nonce="2")))
    assert WorkReply.from_json(reply.body).state == "queued"
    assert (
        "other content"
        in said(gate.handle(ask("work", Work(work="evaluate", unit="0" * 32, what=unit.to_json()), nonce="3")))[
            0
        ].refused
    )


def test_nothing_leaves_where_it_cannot_be_written_down(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Outbox, "write", full)
    with pytest.raises(OSError, match="No space"):
        gate.handle(ask("hello"))


def test_unknown_questions_are_refused(gate: Gate) -> None:
    assert "nothing that a node can be asked" in said(gate.handle(ask("everything")))[0].refused


def test_the_outbox_survives_a_torn_line(tmp_path: Path) -> None:
    gate = opened(tmp_path)
    gate.handle(ask("hello", nonce="1"))
    path = tmp_path / "outbox.jsonl"
    path.write_text(path.read_text() + '{"at": "2026')
    assert [entry.nonce for entry in Outbox(path).entries()] == ["1"]
    opened(tmp_path).handle(ask("hello", nonce="2"))
    assert [entry.nonce for entry in Outbox(path).entries()] == ["1", "2"]
