"""The ledger says what was written, in order, to everyone; and says so when it was tampered with."""

import multiprocessing
import shutil
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import given as for_all
from hypothesis import strategies as st
from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError
from tests.signed_facts import stated

from atoll.errors import LedgerError
from atoll.ledger import (
    START,
    ConsentGiven,
    ConsentWithdrawn,
    Fact,
    FormatMarked,
    Head,
    Ledger,
    OwnerRevoked,
    Released,
    Transferred,
    UnitFinished,
    UnitIssued,
)

from .conftest import E1, E2, accepted, admitted, opening

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


UNUSABLE = accepted(purposes=())
FORGED = ConsentGiven(owner="hospital", expert=E1, purposes=["any"], until=None, statement="")


def released(number: int = 1, *members: str) -> Released:
    return Released(number=number, digest=f"release {number}", guarantee="exact", members=list(members or (E1,)))


def withdrawn(owner: str = "hospital", expert: str = "", number: int = 1) -> Fact:
    return stated(owner, number, expert)


def given(
    owner: str = "hospital",
    expert: str = E1,
    purposes: tuple[str, ...] = ("any",),
    until: str | None = None,
    number: int = 1,
) -> Fact:
    return stated(owner, number, expert, purposes, until=until)


def test_what_is_written_is_read_again(ledger: Ledger, where: str) -> None:
    facts = [*opening(), released(), withdrawn()]
    events = [ledger.record(fact, NOON) for fact in facts]
    with Ledger.open(where, create=False) as again:
        assert list(again.events(after=1)) == events
        assert [event.fact() for event in again.events()] == [FormatMarked(version=2), *facts]
        assert [event.sequence for event in again.events(after=3)] == [4, 5]
        assert again.verify() == ledger.state().head == again.state().head


def test_a_fact_is_written_once(ledger: Ledger) -> None:
    facts = [
        *opening(),
        given(purposes=("research", "care")),
        released(),
        UnitIssued(owner="hospital", unit="u", work="train"),
        UnitFinished(owner="hospital", unit="u", result="e1", failure=""),
        withdrawn(number=2),
        OwnerRevoked(owner="hospital", reason="left"),
    ]
    for fact in facts:
        assert ledger.record(fact, NOON) is not None
        assert ledger.record(fact, NOON) is None
    assert ledger.verify().sequence == 1 + len(facts)


def test_transfers_are_counted_each_time(ledger: Ledger) -> None:
    ledger.record(admitted())
    for size in (3, 4):
        ledger.record(Transferred(owner="hospital", blob="b", to_owner=False, size=size))
    ledger.record(Transferred(owner="hospital", blob="b", to_owner=True, size=100))
    assert (ledger.state().bytes_from, ledger.state().bytes_to) == ({"hospital": 7}, {"hospital": 100})


@pytest.mark.parametrize(
    ("before", "fact", "why"),
    [
        ([], accepted(), "'hospital' was never admitted; there are no owners"),
        ([admitted()], OwnerRevoked(owner="bank", reason=""), "'bank' was never admitted; there are hospital"),
        ([*opening(), admitted("bank")], replace(accepted(), owner="bank"), "is not signed by 'bank'"),
        ([*opening(), admitted("bank")], given("bank"), "only an owner decides about its own"),
        ([*opening(), admitted("bank")], withdrawn("bank", E1), "only an owner decides about its own"),
        ([admitted(), OwnerRevoked(owner="hospital", reason="left")], accepted(), "'hospital' is revoked"),
        (
            [admitted(), accepted(purposes=())],
            released(1, accepted(purposes=()).expert),
            "does not permit any use of it now",
        ),
        ([*opening(), withdrawn()], released(), "does not permit any use of it now"),
        ([*opening(), given(until="2026-05-31")], released(), "does not permit any use of it now"),
        (opening(), released(1, E1, E2), f"never accepted: {E2}"),
        ([*opening(), released(2)], released(1), "release 1 does not follow release 2"),
        ([*opening(), released()], Released(number=1, digest="x", guarantee="exact", members=[E1]), "do not change"),
        (opening(), given(until="soon"), "'soon': that is no date"),
        ([admitted()], replace(accepted(), until="2026-02-30"), "recorded otherwise than in the card"),
        (
            opening(),
            ConsentGiven(owner="hospital", expert=E1, purposes=["any"], until=None, statement=""),
            "did not sign",
        ),
        (opening(), ConsentWithdrawn(owner="hospital", expert="", statement=""), "did not sign"),
        ([admitted()], UnitFinished(owner="hospital", unit="u", result="", failure="x"), "never asked for unit u"),
    ],
)
def test_a_contradiction_is_refused_and_nothing_is_written(
    tmp_path: Path, before: list[Fact], fact: Fact, why: str
) -> None:
    with Ledger.open(tmp_path / "ledger.db") as ledger:
        for each in before:
            ledger.record(each, NOON)
        with pytest.raises(LedgerError, match=why):
            ledger.record(fact, NOON)
        assert ledger.verify().sequence == len(before) + bool(before)


def test_another_key_needs_a_revocation_first(ledger: Ledger) -> None:
    ledger.record(admitted())
    other = admitted("bank")
    stolen = type(other)(owner="bank", domain="x", public_key=admitted().public_key)
    with pytest.raises(LedgerError, match="every owner makes one of its own"):
        ledger.record(stolen)
    renewed = type(other)(owner="hospital", domain="letters", public_key="ff")
    with pytest.raises(LedgerError, match="revoke that first"):
        ledger.record(renewed)
    ledger.record(OwnerRevoked(owner="hospital", reason="lost its key"))
    ledger.record(renewed)
    assert not ledger.state().owners["hospital"].revoked


def test_a_withdrawal_is_known_to_others_at_their_next_question(ledger: Ledger, where: str) -> None:
    for fact in opening():
        ledger.record(fact, NOON)
    with Ledger.open(where) as other:
        assert other.state().usable("research", NOON) == [E1]
        ledger.record(withdrawn(), NOON)
        assert other.state().usable("research", NOON) == []


@pytest.mark.parametrize(
    ("purposes", "until", "purpose", "day", "may"),
    [
        (("any",), None, "research", 0, True),
        (("research",), None, "research", 0, True),
        (("research",), None, "sales", 0, False),
        (("research",), None, "any", 0, False),
        (("any",), "2026-06-01", "sales", 0, True),
        (("any",), "2026-06-01", "sales", 1, False),
    ],
)
@pytest.mark.parametrize("later", [False, True])
def test_consent_is_for_purposes_and_days(
    tmp_path: Path, later: bool, purposes: tuple[str, ...], until: str | None, purpose: str, day: int, may: bool
) -> None:
    with Ledger.open(tmp_path / "ledger.db") as ledger:
        expert = accepted(purposes=() if later else purposes, until=until)
        for fact in (admitted(), expert):
            ledger.record(fact, NOON)
        if later:
            ledger.record(given(expert=expert.expert, purposes=purposes, until=until), NOON)
        assert ledger.state().usable(purpose, NOON + timedelta(days=day)) == ([expert.expert] if may else [])


def test_which_releases_hold_an_owner_and_until_when(ledger: Ledger) -> None:
    hour = timedelta(hours=1)
    for fact in (*opening(), *opening("bank", "e2")):
        ledger.record(fact, NOON)
    ledger.record(released(1, E1, E2), NOON)
    ledger.record(withdrawn(), NOON + hour)
    ledger.record(released(2, E2), NOON + 2 * hour)
    ledger.record(given(until="2026-06-02", number=2), NOON + 3 * hour)
    ledger.record(released(3, E1, E2), NOON + 4 * hour)
    state = ledger.state()
    end = datetime(2026, 6, 3, tzinfo=UTC)
    assert {n: [(p.begin, p.end) for p in found] for n, found in state.periods("hospital").items()} == {
        1: [(NOON, NOON + hour), (NOON + 3 * hour, end)],
        3: [(NOON + 4 * hour, end)],
    }
    assert [len(found) for found in state.periods("bank").values()] == [1, 1, 1]
    assert state.periods("bank")[2][0].end is None
    with pytest.raises(LedgerError, match="'clinic' was never admitted"):
        state.periods("clinic")


def test_the_database_itself_refuses_changes(ledger: Ledger, where: str) -> None:
    ledger.record(admitted())
    engine = create_engine(where if "://" in where else f"sqlite:///{where}")
    for change in ("UPDATE events SET body = '{}'", "DELETE FROM events"):
        with pytest.raises(SQLAlchemyError, match="append-only"), engine.begin() as connection:
            connection.execute(text(change))
    engine.dispose()
    ledger.verify()


LONG = [*opening(), *opening("bank", "e2"), released(1, E1, E2), withdrawn("bank"), released(2)]
EVENTS = len(LONG) + 1
COLUMNS = ("sequence", "at", "kind", "body", "previous", "digest")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger's file."""
    path = tmp_path_factory.mktemp("sound") / "ledger.db"
    with Ledger.open(path) as ledger:
        ledger.record_all(LONG, NOON)
    with sqlite3.connect(path) as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@for_all(place=st.integers(1, EVENTS), column=st.sampled_from(COLUMNS), data=st.data())
def test_any_change_to_any_event_is_found(
    tmp_path_factory: pytest.TempPathFactory, sound: Path, place: int, column: str, data: st.DataObject
) -> None:
    path = Path(shutil.copy(sound, tmp_path_factory.mktemp("tampered")))
    with sqlite3.connect(path) as raw:
        raw.execute("DROP TRIGGER append_only_update")
        (old,) = raw.execute(f"SELECT {column} FROM events WHERE sequence = {place}").fetchone()
        if column == "sequence":
            new = data.draw(st.integers(EVENTS + 1, 99))
        else:
            at = data.draw(st.integers(0, len(old) - 1))
            letter = data.draw(st.sampled_from([c for c in "0aZ}\"' é" if c != old[at]]))
            new = old[:at] + letter + old[at + 1 :]
        raw.execute(f"UPDATE events SET {column} = ? WHERE sequence = {place}", (new,))
    with Ledger.open(path) as ledger:
        # The last event under a higher number is a gap too.
        with pytest.raises(LedgerError, match="event"):
            ledger.verify()
        with pytest.raises(LedgerError, match="event"):
            ledger.state()


def test_a_history_cut_short_is_found_by_a_head_that_was_noted(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with Ledger.open(path) as ledger:
        for fact in (*opening(), given(until="2031-12-31")):
            ledger.record(fact)
        noted = ledger.verify()
        ledger.record(released())
        assert ledger.verify(noted).sequence == 5
        assert ledger.verify(START).sequence == 5
    with sqlite3.connect(path) as raw:
        raw.execute("DROP TRIGGER append_only_delete")
        raw.execute("DELETE FROM events WHERE sequence > 3")
    with Ledger.open(path) as ledger:
        assert ledger.verify().sequence == 3  # in itself it is whole
        with pytest.raises(LedgerError, match=r"event 4 .* is not in this history, which has 3 events"):
            ledger.verify(noted)
        with pytest.raises(LedgerError, match="is not in this history"):
            ledger.verify(Head(2, "sha256:" + "0" * 64))


def _write(where: str, worker: int, count: int) -> None:
    with Ledger.open(where) as ledger:
        for number in range(count):
            ledger.record(UnitIssued(owner="hospital", unit=f"{worker}-{number}", work="train"))
            ledger.record(UnitIssued(owner="hospital", unit=f"shared-{number}", work="train"))


@pytest.mark.slow
def test_processes_write_at_once_and_nothing_is_lost_or_doubled(where: str) -> None:
    with Ledger.open(where) as ledger:
        ledger.record(admitted())
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=_write, args=(where, worker, 20)) for worker in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
        assert worker.exitcode == 0
    with Ledger.open(where) as ledger:
        assert ledger.verify().sequence == 2 + 3 * 20 + 20
        assert len(ledger.state().open) == 80


def _open(where: str) -> None:
    Ledger.open(where).close()


@pytest.mark.slow
def test_two_processes_may_make_the_same_ledger(where: str) -> None:
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=_open, args=(where,)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
        assert worker.exitcode == 0


def test_places_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="there is no such ledger"):
        Ledger.open(tmp_path / "none.db", create=False)
    with pytest.raises(LedgerError, match=r"the folder .*nowhere does not exist"):
        Ledger.open(tmp_path / "nowhere" / "ledger.db")
    with pytest.raises(LedgerError, match="neither a file nor a database URL"):
        Ledger.open("nosuch://host/name")
    noise = tmp_path / "noise.db"
    noise.write_bytes(b"not a database" * 100)
    with pytest.raises(LedgerError, match="cannot be opened as a ledger"):
        Ledger.open(noise)
    assert noise.read_bytes() == b"not a database" * 100
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as raw:
        raw.execute("CREATE TABLE patients (name TEXT)")
    with pytest.raises(LedgerError, match="holds other tables"):
        Ledger.open(other)


def test_a_server_that_is_not_there_is_said_so() -> None:
    pytest.importorskip("psycopg", reason="psycopg is not installed (extra postgres)")
    with pytest.raises(LedgerError, match="cannot be opened as a ledger"):
        Ledger.open("postgresql+psycopg://atoll:secret@127.0.0.1:9/atoll")


def test_a_ledger_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    Ledger.open(path).close()
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(LedgerError, match=r"newer version of Atoll \(9999\)"):
        Ledger.open(path)
