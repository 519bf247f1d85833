"""The ClientApp: every message is answered, and what went wrong is said without quoting anybody's text."""

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flwr.app import ConfigRecord, Context, Message, Metadata, RecordDict

from atoll.clients import app as module
from atoll.clients.app import app
from atoll.clients.node import open_node
from atoll.experts.package import read_package
from atoll.experts.privacy_config import PrivacyConfig
from atoll.experts.signing import PublicKey
from atoll.federation.blobs import blob_digest
from atoll.federation.progress import LISTENER, Progress
from atoll.federation.units import Announcement, Choice, EvaluateReply, EvaluateUnit, MemberRef, TrainReply, Variant

from .conftest import documents, text_of, train_unit, write_silo

Ask = Callable[..., Message]


@pytest.fixture
def ask(tmp_path: Path, anchor_folder: Path) -> Ask:
    """Sends a message of a type, with a unit's JSON and blobs, to the node in ``node``; returns the reply."""
    open_node.cache_clear()

    def send(kind: str, unit: str | None = "{}", blobs: dict[str, bytes] | None = None) -> Message:
        content = RecordDict({} if unit is None else {"unit": ConfigRecord({"json": unit})})
        if blobs is not None:
            content["blobs"] = ConfigRecord({**blobs})
        metadata = Metadata(
            run_id=1,
            message_id="1",
            src_node_id=1,
            dst_node_id=2,
            reply_to_message_id="",
            group_id="",
            created_at=time.time(),
            ttl=3600,
            message_type=kind,
        )
        context = Context(
            run_id=1,
            node_id=2,
            node_config={"folder": str(tmp_path / "node")},
            state=RecordDict(),
            run_config={},
        )
        return app(Message(content=content, metadata=metadata), context)  # type: ignore[call-overload]

    return send


@pytest.fixture
def folder(tmp_path: Path, anchor_folder: Path) -> Path:
    return write_silo(tmp_path / "node", anchor_folder)


def said(reply: Message) -> str:
    assert not reply.has_error(), reply.error.reason
    return str(reply.content.config_records["unit"]["json"])


def reason(reply: Message) -> str:
    assert reply.has_error()
    return reply.error.reason or ""


def spoil(folder: Path, how: str) -> None:
    notes = folder / "notes.jsonl"
    config = (folder / "node.yaml").read_text()
    if how == "no file":
        notes.unlink()
    elif how == "not UTF-8":
        notes.write_bytes(b'{"text": "caf\xe9 is open"}\n')
    elif how == "no field":
        notes.write_text('{"body": "words"}\n')
    elif how == "not JSON":
        notes.write_text("{text: words}\n")
    elif how == "too little":
        notes.write_text('{"text": "words"}\n')
    elif how == "owner":
        (folder / "node.yaml").write_text(config.replace("owner: clinic", "owner: The Clinic"))
    elif how == "key":
        (folder / "node.yaml").write_text(config + "colour: red\n")
    elif how == "anchor":
        (folder / "node.yaml").write_text(config.replace("anchor: /", "anchor: /nowhere/"))
    elif how == "device":
        (folder / "node.yaml").write_text(config.replace("device: cpu", "device: abacus"))


SPOILED = {
    "no file": "notes.jsonl",
    "not UTF-8": "is not UTF-8",
    "no field": "no field 'text': there are body",
    "not JSON": "not valid JSON",
    "too little": "split",
    "owner": "lower-case letters, digits and hyphens",
    "key": "colour",
    "anchor": "no anchor",
    "device": "device is 'abacus'",
}


@pytest.mark.parametrize("how", SPOILED)
def test_bad_data_is_answered_and_the_node_goes_on(ask: Ask, folder: Path, tmp_path: Path, how: str) -> None:
    kept = {path: path.read_bytes() for path in (folder / "notes.jsonl", folder / "node.yaml")}
    spoil(folder, how)
    answer = reason(ask("query"))
    assert SPOILED[how] in answer
    assert "Traceback" not in answer
    for path, content in kept.items():
        path.write_bytes(content)
    open_node.cache_clear()
    assert Announcement.from_json(said(ask("query"))).owner == "clinic"


@pytest.mark.parametrize("kind", ["train", "evaluate"])
@pytest.mark.parametrize("unit", ["", "no JSON", "{}", "[]", '{"anchor": 3}', '{"surprise": 1}'])
def test_a_message_that_is_no_unit_is_answered(ask: Ask, folder: Path, kind: str, unit: str) -> None:
    assert "Unit" in reason(ask(kind, unit))


@pytest.mark.parametrize("kind", ["train", "evaluate"])
def test_a_message_without_a_unit_is_answered(ask: Ask, folder: Path, kind: str) -> None:
    assert reason(ask(kind, None)).startswith("KeyError; the node's own log")


def test_another_anchor_is_answered(ask: Ask, folder: Path) -> None:
    unit = train_unit(open_node(folder), anchor="sha256:" + "00" * 32)
    assert "set `anchor` in node.yaml" in reason(ask("train", unit.to_json()))


def test_blobs_that_are_not_what_they_say_are_refused(ask: Ask, folder: Path) -> None:
    unit = EvaluateUnit(anchor=open_node(folder).anchor.digest, members=[], variants=[])
    answer = ask("evaluate", unit.to_json(), {blob_digest(b"one"): b"another"})
    assert "has other content" in reason(answer)
    assert not open_node(folder).blobs.digests()


def test_an_unforeseen_error_is_answered_without_its_words(
    ask: Ask, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*args: Any) -> Any:
        raise ValueError(documents("clinic")[0])

    monkeypatch.setattr(module, "train_expert", fail)
    answer = reason(ask("train", train_unit(open_node(folder)).to_json()))
    assert answer.startswith("ValueError; the node's own log")
    assert "clinic record" not in answer
    assert "clinic record 0" in caplog.text, "the owner's own log has it"


def test_a_private_expert_through_the_app(ask: Ask, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("opacus.accountants", reason="private training needs Opacus")
    unit = train_unit(open_node(folder), privacy=PrivacyConfig(epsilon=8.0), steps=2)
    answer = ask("train", unit.to_json())
    trained = TrainReply.from_json(said(answer))
    package = read_package(bytes(answer.content.config_records["blobs"][trained.blob]), trusted=None)  # type: ignore[arg-type]
    assert package.card.privacy is not None
    assert 0 < package.card.privacy.epsilon <= 8
    monkeypatch.setitem(sys.modules, "opacus.accountants.utils", None)
    another = replace(unit, privacy=PrivacyConfig(epsilon=7.5))
    assert "pip install 'atoll[privacy]'" in reason(ask("train", another.to_json()))


def test_a_run_through_the_app(ask: Ask, folder: Path) -> None:
    told: list[Progress] = []
    token = LISTENER.set(told.append)
    try:
        here = Announcement.from_json(said(ask("query")))
        node = open_node(folder)
        assert here.tokens == {split: count.tokens for split, count in text_of(node).counts.items()}
        assert (here.anchor, here.held) == (node.anchor.digest, [])

        answer = ask("train", train_unit(node).to_json())
        trained = TrainReply.from_json(said(answer))
        (blob,) = answer.content.config_records["blobs"].items()
        assert blob[0] == trained.blob == blob_digest(bytes(blob[1]))  # type: ignore[arg-type]
        package = read_package(bytes(blob[1]), trusted=PublicKey.from_hex(here.public_key))  # type: ignore[arg-type]
        assert package.digest == trained.digest
        assert {progress.unit for progress in told} == {"train"}

        own = Variant(
            name="own", members=["clinic"], integrator=Choice(name="soup"), router=Choice(name="uniform"), alone=True
        )
        member = MemberRef(owner="clinic", digest=trained.digest, blob=trained.blob, public_key=here.public_key)
        unit = EvaluateUnit(anchor=here.anchor, members=[member], variants=[own], windows=2).to_json()
        assert EvaluateReply.from_json(said(ask("evaluate", unit))).missing == [trained.blob]
        found = EvaluateReply.from_json(said(ask("evaluate", unit, dict([blob]))))
        assert set(found.loss) == {"own"}
        assert Announcement.from_json(said(ask("query"))).held == [trained.blob]
    finally:
        LISTENER.reset(token)
