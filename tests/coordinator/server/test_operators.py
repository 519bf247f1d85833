"""Operators: a token does what its roles say, until it ends; nobody is its own second; every act has a name."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import Result
from tests.coordinator.status.conftest import Asker
from typer.testing import CliRunner

from atoll.cli.app import app
from atoll.coordinator.operators import add_operator, authenticate, operator_tokens
from atoll.coordinator.server.shop import Shop
from atoll.coordinator.status.snapshot import reader
from atoll.coordinator.status.web import create_status_app, serve
from atoll.errors import AccessError, LedgerError, PendingError
from atoll.ledger import Fact, OperatorActed, OperatorAdded
from atoll.ledger.operator_facts import facts_digest, facts_to_lines

Command = Callable[..., Result]


@pytest.fixture
def command(shop: Shop) -> Command:
    """Runs a command of the coordinator with a token."""

    def run(*words: str, token: str = "") -> Result:
        first, *rest = words
        names = [first, rest.pop(0)] if first in ("call", "operator") else [first]
        arguments = ["coordinator", *names, str(shop.folder.root), *rest]
        return CliRunner().invoke(app, arguments, env={"ATOLL_OPERATOR_TOKEN": token})

    return run


@pytest.fixture
def tokens(shop: Shop, tmp_path: Path) -> dict[str, str]:
    """Of operators: alice and bob with every role, reader with one."""
    boss = tmp_path / "alice.token"
    every = ["read", "operate", "admit", "release"]
    made = {"alice": add_operator(shop.folder, "alice", every, 90)}
    boss.write_text(made["alice"])
    made["bob"] = add_operator(shop.folder, "bob", every, 90, boss)
    made["reader"] = add_operator(shop.folder, "reader", ["read"], 90, boss)
    return made


def two_person(shop: Shop, *roles: str) -> None:
    config = shop.folder.config
    kept = config.read_text().replace("two_person: []\n", "")
    config.write_text(f"{kept}two_person: [{', '.join(roles)}]\n")


def calls(shop: Shop) -> list[str]:
    return [call.called.work for call in shop.ledger.state().calls.values()]


def failed(done: Result, kind: type[Exception]) -> bool:
    return isinstance(done.exception, kind)


def test_without_operators_acts_are_recorded_under_the_users_name(shop: Shop, command: Command) -> None:
    assert command("call", "release").exit_code == 0
    events = list(shop.ledger.events())
    assert [event.kind for event in events[-2:]] == ["operator-acted", "called"]
    _, acted = shop.ledger.state().acted[-1]
    assert acted.operator.startswith("user:")
    assert (acted.role, acted.standing) == ("release", "done")
    called = next(iter(shop.ledger.state().calls.values())).called
    assert acted.facts == facts_digest(facts_to_lines([called]))


def test_a_stolen_token_does_no_more_than_its_roles(shop: Shop, command: Command, tokens: dict[str, str]) -> None:
    for words in (
        ("call", "release"),
        ("call", "train"),
        ("call", "evaluate"),
        ("call", "audit", "samples=300"),
        ("revoke", "clinic"),
        ("withdraw", "clinic", "--reason", "x"),
        ("confirm", "clinic", "--reason", "x"),
        ("operator", "add", "mallory", "--role", "release"),
        ("operator", "remove", "alice"),
    ):
        for token in (tokens["reader"], "", "a guess", tokens["alice"] + "x"):
            assert failed(command(*words, token=token), AccessError), words
    assert calls(shop) == []
    assert not shop.ledger.state().owners["clinic"].revoked
    assert sorted(shop.ledger.state().operators) == ["alice", "bob", "reader"]
    assert command("call", "release", token=tokens["alice"]).exit_code == 0
    assert shop.ledger.state().acted[-1][1].operator == "alice"


def test_a_token_ends(shop: Shop, command: Command, tokens: dict[str, str]) -> None:
    state = shop.ledger.state()
    assert authenticate(state, "release", tokens["bob"], datetime.now(UTC)) == "bob"
    with pytest.raises(AccessError, match="expired"):
        authenticate(state, "release", tokens["bob"], datetime.now(UTC) + timedelta(days=91))
    assert command("operator", "remove", "bob", token=tokens["alice"]).exit_code == 0
    assert failed(command("call", "release", token=tokens["bob"]), AccessError)
    assert calls(shop) == []


def test_operators_may_look_at_the_status_until_their_tokens_end(
    shop: Shop, command: Command, tokens: dict[str, str]
) -> None:
    web = create_status_app(reader(shop.ledger, None), "the server's own token", operator_tokens(shop.ledger))
    running = serve(web, "127.0.0.1", 0)
    try:

        def looks(token: str) -> int:
            return Asker(running.url, {"Authorization": f"Bearer {token}"})("/status.json").status

        assert [looks(tokens["reader"]), looks(tokens["bob"]), looks("wrong")] == [200, 200, 401]
        given = Asker(running.url, {})("/login", "POST", f"token={tokens['reader']}").headers["Set-Cookie"]
        browser = Asker(running.url, {"Cookie": given.partition(";")[0]})
        assert browser("/status.json").status == 200
        assert command("operator", "remove", "reader", token=tokens["alice"]).exit_code == 0
        assert [browser("/status.json").status, looks(tokens["reader"]), looks(tokens["bob"])] == [401, 401, 200]
    finally:
        running.stop()


def test_one_operator_alone_cannot_release(shop: Shop, command: Command, tokens: dict[str, str]) -> None:
    two_person(shop, "release")
    asked = command("call", "release", "--flagged", "yard", token=tokens["alice"])
    assert failed(asked, PendingError)
    assert calls(shop) == []
    (act,) = [each.act for each in shop.ledger.state().acts.values() if each.standing == "pending"]
    for token in (tokens["alice"], tokens["reader"], ""):
        assert failed(command("operator", "confirm", act, token=token), AccessError)
    # Nor by making its own second.
    assert failed(command("operator", "add", "puppet", "--role", "release", token=tokens["alice"]), PendingError)
    assert "puppet" not in shop.ledger.state().operators
    assert failed(command("operator", "remove", "bob", token=tokens["alice"]), PendingError)
    assert "bob" in shop.ledger.state().operators
    assert calls(shop) == []
    assert act in command("operator", "list").output
    assert command("operator", "confirm", act, token=tokens["bob"]).exit_code == 0
    assert calls(shop) == ["release"]
    assert failed(command("operator", "confirm", act, token=tokens["bob"]), AccessError)
    assert calls(shop) == ["release"]
    names = [(fact.operator, fact.standing) for _, fact in shop.ledger.state().acted if fact.act == act]
    assert names == [("alice", "pending"), ("bob", "confirmed")]
    shop.ledger.verify()


def test_what_a_dismissed_operator_proposed_is_not_confirmed(
    shop: Shop, command: Command, tokens: dict[str, str]
) -> None:
    two_person(shop, "release")
    assert failed(command("call", "release", token=tokens["alice"]), PendingError)
    (act,) = [each.act for each in shop.ledger.state().acts.values() if each.standing == "pending"]
    known = shop.ledger.state().operators["alice"]
    shop.ledger.record(replace(known, roles=["read"]))  # as two others would have it written
    assert failed(command("operator", "confirm", act, token=tokens["bob"]), LedgerError)
    assert calls(shop) == []


def test_what_takes_away_waits_for_nobody(shop: Shop, command: Command, tokens: dict[str, str]) -> None:
    two_person(shop, "admit")
    assert command("withdraw", "clinic", "--reason", "its letter", token=tokens["alice"]).exit_code == 0
    assert command("revoke", "yard", token=tokens["alice"]).exit_code == 0
    assert shop.ledger.state().owners["yard"].revoked
    assert shop.ledger.state().owners["clinic"].voice.out


def test_two_persons_are_wanted_before_any_are_named(shop: Shop, command: Command) -> None:
    two_person(shop, "release")
    assert failed(command("call", "release"), AccessError)
    assert calls(shop) == []


def test_nobody_gives_a_role_that_it_has_not(shop: Shop, command: Command) -> None:
    assert command("operator", "add", "carol", "--role", "release").exit_code != 0  # nobody could add the next
    made = command("operator", "add", "carol", "--role", "admit")
    token = made.stdout.strip().splitlines()[-1]
    assert failed(command("operator", "add", "dave", "--role", "release", token=token), AccessError)
    assert failed(command("operator", "add", "carol", "--role", "release", token=token), AccessError)
    assert failed(command("call", "release", token=token), AccessError)


def test_the_ledger_itself_refuses_acts_that_cannot_be(shop: Shop, tokens: dict[str, str]) -> None:
    lines = facts_to_lines([_operator("puppet")])

    def act(operator: str, standing: str, day: str = "2999-01-01", act: str = "a", role: str = "admit") -> Fact:
        return OperatorActed(
            act=act,
            operator=operator,
            role=role,
            what="operator add",
            facts=facts_digest(lines),
            standing=standing,
            waiting=lines if standing == "pending" else None,
            until=day,
        )

    shop.ledger.record(act("alice", "pending"))
    shop.ledger.record(act("alice", "pending", day="2020-01-01", act="old"))
    for wrong in (
        act("alice", "confirmed"),
        act("reader", "confirmed"),
        act("user:root", "confirmed"),
        act("nobody", "done", act="b"),
        act("bob", "confirmed", act="old"),
        act("bob", "confirmed", act="none"),
        act("bob", "confirmed", role="release"),
    ):
        with pytest.raises(LedgerError):
            shop.ledger.record(wrong)
    assert shop.ledger.record(act("bob", "confirmed")) is not None


def _operator(name: str) -> OperatorAdded:
    return OperatorAdded(name=name, roles=["release"], token_digest="0" * 64, until="2999-01-01")
