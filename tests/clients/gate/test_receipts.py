"""Receipts and statements as a node compares them: a history that is exchanged, and words that it never said."""

import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.clients.gate.test_gate import COORDINATOR, OWNER, ask, message, opened, said
from typer.testing import CliRunner

from atoll.cli.ledger import app
from atoll.clients.gate.alarms import Alarms
from atoll.clients.gate.receipts import Receipts, read_receipts
from atoll.clients.gate.statements import Statements
from atoll.experts.receipts import Receipt, sign_receipt
from atoll.experts.signing import OwnerKey
from atoll.federation.envelope import seal
from atoll.federation.handover import Statement
from atoll.federation.talk import Hello, HelloReply, Request

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
EXPERT = "sha256:" + "e" * 64


def receipt(sequence: int, history: str = "a", *, minutes: int = 0, key: OwnerKey = COORDINATOR) -> Receipt:
    digest = "sha256:" + f"{history}{sequence:04d}".ljust(64, "0")
    return sign_receipt(key, "clinic", sequence, digest, NOON + timedelta(minutes=minutes), 0)


@pytest.fixture
def alarms(tmp_path: Path) -> Alarms:
    return Alarms(tmp_path)


def kept(folder: Path, alarms: Alarms, *receipts: Receipt, clock: Any = time.monotonic) -> Receipts:
    found = Receipts(folder, "clinic", alarms, clock)
    for each in receipts:
        found.keep(each.to_line(), COORDINATOR.public)
    return found


def test_a_history_that_grows_rings_nothing(tmp_path: Path, alarms: Alarms) -> None:
    late = receipt(1, minutes=1)
    found = kept(tmp_path, alarms, receipt(1), receipt(3, minutes=2), receipt(3, minutes=3), late)
    assert alarms.entries() == []
    assert Receipt.from_json(found.newest(COORDINATOR.public)).sequence == 3
    assert [each.sequence for each in read_receipts(tmp_path / "receipts.jsonl")] == [1, 3]


def test_a_fork_rings_and_both_receipts_prove_it(tmp_path: Path, alarms: Alarms) -> None:
    kept(tmp_path, alarms, receipt(2), receipt(5, minutes=1))
    kept(tmp_path, alarms, receipt(5, "b", minutes=2))
    (line,) = alarms.entries()
    assert "a fork" in line
    done = CliRunner().invoke(app, ["fork-proof", *[str(tmp_path / "receipts.jsonl")] * 2])
    assert done.exit_code == 0, done.output
    assert "PROOF of a fork: event 5" in done.output


def test_a_rollback_rings(tmp_path: Path, alarms: Alarms) -> None:
    kept(tmp_path, alarms, receipt(5), receipt(4, minutes=1))
    assert "a rollback: 5 events" in alarms.entries()[0]


def test_a_rollback_under_a_clock_that_was_set_back_rings_when_no_late_message_can_come(
    tmp_path: Path, alarms: Alarms
) -> None:
    now = [0.0]
    found = kept(tmp_path, alarms, receipt(5), clock=lambda: now[0])
    found.keep(receipt(4, minutes=-9).to_line(), COORDINATOR.public)
    assert alarms.entries() == []
    now[0] = 1000.0
    found.keep(receipt(4, minutes=-8).to_line(), COORDINATOR.public)
    assert "a rollback" in alarms.entries()[0]


def test_receipts_of_others_are_not_kept(tmp_path: Path, alarms: Alarms) -> None:
    found = kept(tmp_path, alarms, receipt(1, key=OwnerKey.generate()))
    assert found.newest(COORDINATOR.public) == ""
    assert "a receipt that is none" in alarms.entries()[0]


@pytest.mark.parametrize("second", ["b", "a"])
def test_two_nodes_prove_a_fork_only_where_there_is_one(tmp_path: Path, second: str) -> None:
    files = []
    for name, history in (("clinic", "a"), ("court", second)):
        path = tmp_path / name
        path.write_text("".join(receipt(number, history).to_line() + "\n" for number in (2, 4)))
        files.append(str(path))
    key = tmp_path / "coordinator.pub"
    COORDINATOR.public.save(key)
    stranger = tmp_path / "stranger.pub"
    OwnerKey.generate().public.save(stranger)
    assert CliRunner().invoke(app, ["fork-proof", *files, "--key", str(key)]).exit_code == (0 if second == "b" else 1)
    assert CliRunner().invoke(app, ["fork-proof", *files, "--key", str(stranger)]).exit_code == 1


def test_a_forged_receipt_proves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "receipts"
    path.write_text(receipt(2).to_line().replace("a0002", "b0002") + "\n")
    done = CliRunner().invoke(app, ["fork-proof", str(path), str(path)])
    assert done.exit_code != 0
    assert "no receipt" in str(done.exception)


def hello(statements: dict[str, str], *, wait: float = 0.0) -> Hello:
    return Hello(heard=0, statements=statements, wait=wait)


def test_words_that_the_owner_never_said_ring(tmp_path: Path) -> None:
    gate = opened(tmp_path)
    said(gate.handle(ask("hello", hello({"1": EXPERT}))))
    assert "a statement 1 in this owner's name that it never made" in Alarms(tmp_path).entries()[0]


def test_a_statement_whose_number_is_taken_is_stated_anew(tmp_path: Path) -> None:
    """The folder came back from a backup, or the coordinator lies: the withdrawal is heard all the same."""
    statements = Statements(tmp_path / "statements", "clinic", OWNER)
    statements.say(expert="", purposes=[], until=None, words="we leave")
    reply, _ = said(opened(tmp_path).handle(ask("hello", hello({"1": EXPERT, "2": EXPERT}))))
    (text,) = HelloReply.from_json(reply.body).statements
    found = Statement.from_json(text)
    assert (found.number, found.purposes, found.words) == (3, [], "we leave")
    assert any("another statement 1" in line for line in Alarms(tmp_path).entries())


def test_a_statement_that_was_heard_and_is_lost_rings_and_is_told_again(tmp_path: Path) -> None:
    statements = Statements(tmp_path / "statements", "clinic", OWNER)
    made, _ = statements.say(expert="", purposes=[], until=None, words="we leave")
    gate = opened(tmp_path)
    heard = {"1": made.content_digest}
    reply, _ = said(gate.handle(ask("hello", hello(heard))))
    assert HelloReply.from_json(reply.body).statements == []
    assert Alarms(tmp_path).entries() == []
    reply, _ = said(gate.handle(ask("hello", hello({}), nonce="later")))
    assert len(HelloReply.from_json(reply.body).statements) == 1
    assert "has lost it" in Alarms(tmp_path).entries()[0]


def test_a_hello_that_waits_is_answered_as_soon_as_something_is_stated(tmp_path: Path) -> None:
    gate, answers = opened(tmp_path), []
    waiting = threading.Thread(
        target=lambda: answers.append(said(gate.handle(ask("hello", hello({}, wait=25.0), nonce="waits")))[0])
    )
    waiting.start()
    assert not said(gate.handle(ask("hello", hello({}), nonce="at once")))[0].refused, "others are answered meanwhile"
    again = threading.Thread(
        target=lambda: answers.append(said(gate.handle(ask("hello", hello({}, wait=25.0), nonce="again")))[0])
    )
    again.start()
    Statements(tmp_path / "statements", "clinic", OWNER).say(expert="", purposes=[], until=None, words="we leave")
    for thread in (waiting, again):
        thread.join(20)
        assert not thread.is_alive()
    assert any(HelloReply.from_json(reply.body).statements for reply in answers)


def test_the_newest_receipt_goes_back_with_every_hello(tmp_path: Path) -> None:
    gate = opened(tmp_path)
    made = receipt(7)
    request = Request(to="clinic", nonce="1", asks="hello", body=Hello().to_json(), head=made.to_line())
    said(gate.handle(message(seal(request.to_json(), COORDINATOR))))
    reply, _ = said(gate.handle(ask("hello", Hello(), nonce="2")))
    assert Receipt.from_json(HelloReply.from_json(reply.body).receipt) == made
