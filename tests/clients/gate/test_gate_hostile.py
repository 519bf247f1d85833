"""A gate before a coordinator that asks for what it should not, and a disk that fails."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from flwr.app import Error, Message, MessageType, RecordDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atoll.clients.gate.gate import Gate
from atoll.clients.gate.outbox import Outbox
from atoll.clients.gate.policy import Policy
from atoll.errors import ConfigError
from atoll.experts.signing import OwnerKey
from atoll.federation.blobs import blob_digest
from atoll.federation.embedded import EmbeddedGrid
from atoll.federation.envelope import seal, unseal
from atoll.federation.talk import DONE, QUEUED, Fetch, FetchReply, Hello, Reply, Request, Store, StoreReply, WorkReply
from atoll.federation.talk import Work as WorkAsked
from atoll.federation.units import EvaluateUnit, MemberRef, Unit

COORDINATOR, OWNER = OwnerKey.generate(), OwnerKey.generate()
WANTED = bytes(range(250)) * 4
BLOB = blob_digest(WANTED)
RESULT = b"an expert" * 100
_NONCES = iter(range(1 << 30))


def opened(folder: Path, **rules: Any) -> Gate:
    policy = Policy(coordinators=[COORDINATOR.public.hex], **rules)
    return Gate(folder, "clinic", OWNER, lambda: policy)


def message(content: RecordDict) -> Message:
    return EmbeddedGrid([], client_app="").create_message(content, MessageType.QUERY, 1, "")


def request(asks: str, body: str | Unit, **more: str) -> Request:
    text = body if isinstance(body, str) else body.to_json()
    return Request(**{"to": "clinic", "nonce": f"n{next(_NONCES)}", "asks": asks, "body": text, **more})


def ask(gate: Gate, asks: str, body: str | Unit, chunk: bytes = b"", **more: str) -> tuple[Reply, bytes]:
    reply = gate.handle(message(seal(request(asks, body, **more).to_json(), COORDINATOR, chunk)))
    text, piece, signer = unseal(reply.content)
    assert signer == OWNER.public
    return Reply.from_json(text), piece


def keep_work(folder: Path, unit: Unit, reply: WorkReply) -> None:
    """As a node has it on its disk."""
    place = folder / "works" / unit.address
    place.mkdir(parents=True)
    asked = WorkAsked(work="evaluate", unit=unit.address, what=unit.to_json(), call="c")
    (place / "work.json").write_text(asked.to_json())
    (place / "reply.json").write_text(reply.to_json())


@pytest.fixture
def waiting(tmp_path: Path) -> Path:
    """A node's folder that waits for one blob."""
    member = MemberRef(owner="court", digest=BLOB, blob=BLOB, public_key=OWNER.public.hex)
    unit = EvaluateUnit(anchor="sha256:a", members=[member], variants=[])
    keep_work(tmp_path, unit, WorkReply(state=QUEUED, missing=[BLOB]))
    return tmp_path


@pytest.fixture
def finished(tmp_path: Path) -> tuple[Gate, str]:
    """A gate with one result, and its digest."""
    blob = opened(tmp_path).works.outgoing.put(RESULT)
    unit = EvaluateUnit(anchor="sha256:a", members=[], variants=[])
    keep_work(tmp_path, unit, WorkReply(state=DONE, blobs={blob: len(RESULT)}))
    return opened(tmp_path), blob


def store(gate: Gate, offset: int, chunk: bytes, *, size: int = len(WANTED), blob: str = BLOB) -> Reply:
    return ask(gate, "store", Store(blob=blob, size=size, offset=offset), chunk)[0]


def test_a_wanted_blob_is_stored_piece_by_piece_and_goes_on_after_a_restart(waiting: Path) -> None:
    gate = opened(waiting)
    assert StoreReply.from_json(store(gate, 0, b"").body).have == 0
    assert StoreReply.from_json(store(gate, 0, WANTED[:300]).body).have == 300
    assert StoreReply.from_json(store(gate, 300, WANTED[300:700]).body).have == 700
    gate = opened(waiting)
    assert StoreReply.from_json(store(gate, 0, b"").body).have == 700
    assert StoreReply.from_json(store(gate, 700, WANTED[700:]).body).have == len(WANTED)
    assert gate.works.incoming.get(BLOB).read_bytes() == WANTED
    assert "not needed" in store(gate, 0, b"").refused, "it is here, and nothing else waits for it"


def test_stored_content_that_is_another_is_refused_and_comes_again(waiting: Path) -> None:
    gate = opened(waiting)
    assert "other content" in store(gate, 0, bytes(len(WANTED))).refused
    assert not gate.works.incoming.there(BLOB)
    assert StoreReply.from_json(store(gate, 0, WANTED).body).have == len(WANTED)


@pytest.mark.parametrize(
    ("offset", "chunk", "size"),
    [(0, b"xxxx", 3), (0, b"x", -1), (0, b"", 0), (0, b"x", 0)],
    ids=["more than was said", "fewer than none", "nothing", "more than nothing"],
)
def test_odd_sizes_are_refused_and_the_blob_is_still_wanted(
    waiting: Path, offset: int, chunk: bytes, size: int
) -> None:
    gate = opened(waiting)
    assert store(gate, offset, chunk, size=size).refused
    assert not gate.works.incoming.there(BLOB)
    assert StoreReply.from_json(store(gate, 0, WANTED).body).have == len(WANTED)


def test_what_is_larger_than_the_policy_allows_is_not_stored(waiting: Path) -> None:
    assert "max_expert_bytes" in store(opened(waiting, max_expert_bytes=len(WANTED) - 1), 0, WANTED).refused
    assert not store(opened(waiting, max_expert_bytes=len(WANTED)), 0, WANTED).refused


@pytest.mark.parametrize(
    "name", ["../owner.key", "sha256:" + "../" * 21 + "x", "/etc/passwd", "", blob_digest(b"other")]
)
def test_names_that_are_not_wanted_are_refused(waiting: Path, name: str) -> None:
    before = sorted(waiting.rglob("*"))
    gate = opened(waiting)
    assert "not needed" in store(gate, 0, b"x", blob=name, size=1).refused
    assert "no result" in ask(gate, "fetch", Fetch(blob=name, offset=0, length=1))[0].refused
    assert sorted(waiting.rglob("*")) == sorted([*before, waiting / "outbox.jsonl", waiting / "outbox.index"])


@pytest.mark.parametrize("offset", [-1, len(RESULT) + 1, 1 << 62, 1 << 63, 1 << 80])
def test_pieces_from_outside_a_result_are_refused(finished: tuple[Gate, str], offset: int) -> None:
    gate, blob = finished
    reply, piece = ask(gate, "fetch", Fetch(blob=blob, offset=offset, length=10))
    assert "a piece has" in reply.refused or "must be from 0 to" in reply.refused
    assert piece == b""


@given(st.integers(0, len(RESULT)), st.integers(1, 2 * len(RESULT)))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_piece_is_what_was_asked_for_and_is_written_down(
    finished: tuple[Gate, str], tmp_path: Path, offset: int, length: int
) -> None:
    gate, blob = finished
    reply, piece = ask(gate, "fetch", Fetch(blob=blob, offset=offset, length=length))
    assert piece == RESULT[offset : offset + length]
    assert FetchReply.from_json(reply.body) == FetchReply(offset=offset, size=len(RESULT))
    *_, entry = Outbox(tmp_path / "outbox.jsonl").entries()
    assert (entry.text, entry.nonce, entry.chunk) == (reply.to_json(), reply.nonce, len(piece))
    if piece:
        assert (entry.blob, entry.offset, entry.chunk_sha256) == (blob, offset, hashlib.sha256(piece).hexdigest())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)
FIELDS = ["heard", "work", "unit", "what", "call", "blob", "size", "offset", "length"]
BODIES = (JSON | st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=5)).map(json.dumps) | st.text()


@given(st.sampled_from(["hello", "work", "fetch", "store", "", "everything"]), BODIES, st.binary(max_size=20))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_question_gets_a_signed_answer(finished: tuple[Gate, str], asks: str, body: str, chunk: bytes) -> None:
    reply, piece = ask(finished[0], asks, body, chunk)
    assert bool(reply.body) != bool(reply.refused)
    assert piece == b""


def test_a_refused_answer_takes_no_piece_along(tmp_path: Path, finished: tuple[Gate, str]) -> None:
    _, blob = finished
    reply, piece = ask(opened(tmp_path, max_bytes_a_day=300), "fetch", Fetch(blob=blob, offset=0, length=800))
    assert "max_bytes_a_day" in reply.refused
    assert piece == b""
    *_, entry = Outbox(tmp_path / "outbox.jsonl").entries()
    assert (entry.chunk, entry.blob) == (0, "")


def test_a_result_that_is_gone_is_refused(finished: tuple[Gate, str]) -> None:
    gate, blob = finished
    gate.works.outgoing.path(blob).unlink()
    assert "not here" in ask(gate, "fetch", Fetch(blob=blob, offset=0, length=1))[0].refused


def test_a_disk_that_does_not_read_is_said_without_a_path(
    finished: tuple[Gate, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, blob = finished

    def broken(self: Path, *_: object, **__: object) -> None:
        raise OSError(5, "Input/output error", str(self))

    with monkeypatch.context() as patched:
        patched.setattr(gate.works.outgoing, "path", lambda digest: type("Broken", (), {"open": broken})())
        reply, piece = ask(gate, "fetch", Fetch(blob=blob, offset=0, length=1))
    assert reply.refused.startswith("disk: the node's disk does not serve")
    assert str(tmp_path) not in reply.refused
    assert piece == b""


def test_an_outbox_that_cannot_be_written_stops_everything_until_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    gate, again = opened(tmp_path), request("hello", Hello())
    sealed = message(seal(again.to_json(), COORDINATOR))
    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            gate.handle(sealed)
    assert list(Outbox(tmp_path / "outbox.jsonl").entries()) == []
    assert not gate.handle(sealed).has_error(), "it was not answered, so it is no repetition"


def test_a_message_without_content_is_refused(tmp_path: Path) -> None:
    empty = Message(Error(1, "x"), reply_to=message(RecordDict()))
    reply = opened(tmp_path).handle(empty)
    assert reply.has_error()
    assert reply.error.reason == "refused"


def test_a_policy_that_cannot_be_read_lets_nothing_out(tmp_path: Path) -> None:
    def broken() -> Policy:
        raise ConfigError("policy.yaml: a secret word in line 3")

    gate = Gate(tmp_path, "clinic", OWNER, broken)
    reply = gate.handle(message(seal(request("hello", Hello()).to_json(), COORDINATOR)))
    assert reply.error.reason == "refused"
    assert not (tmp_path / "outbox.jsonl").exists()


def test_rules_count_from_the_next_message_on(tmp_path: Path) -> None:
    rules = [Policy(coordinators=[COORDINATOR.public.hex]), Policy(coordinators=[])]
    gate = Gate(tmp_path, "clinic", OWNER, lambda: rules[0])
    assert not ask(gate, "hello", Hello())[0].refused
    rules.pop(0)
    assert gate.handle(message(seal(request("hello", Hello()).to_json(), COORDINATOR))).has_error()


def test_where_the_ledger_stood_is_kept_once_in_order(tmp_path: Path) -> None:
    for head in ("1:a", "1:a", "2:b", ""):
        ask(opened(tmp_path), "hello", Hello(), head=head)
    assert (tmp_path / "receipts.log").read_text().splitlines() == ["1:a", "2:b"]
