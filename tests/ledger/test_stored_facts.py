"""What is stored is read strictly: a malformed fact, work for strangers, or an owner's second key changes nothing."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pytest
from tests import signed_facts as signed
from tests.ledger.conftest import E1, accepted, admitted, opening

from atoll.errors import LedgerError
from atoll.experts.signing import OwnerKey
from atoll.experts.statements import Statement
from atoll.ledger import START, Event, Fact, Ledger, OwnerRevoked, Released, Transferred, UnitFinished, UnitIssued
from atoll.ledger.fact import KINDS, fact_from_json, known_fact, read_document

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("released", "{}"),
        ("released", "[]"),
        ("released", "null"),
        ("released", "no JSON"),
        ("released", '{"number":"one","digest":"d","guarantee":"exact","members":[]}'),
        ("released", '{"number":1,"digest":"d","guarantee":"exact","members":[],"more":1}'),
        ("released", '{"number":1,"digest":"d","guarantee":"exact","members":[1]}'),
        ("unheard-of", "{}"),
    ],
)
def test_a_malformed_stored_fact_is_a_ledger_error(kind: str, body: str) -> None:
    with pytest.raises(LedgerError):
        fact_from_json(kind, body)
    event = replace(Event.after(START, admitted(), NOON), kind=kind, body=body)
    with pytest.raises(LedgerError):
        event.fact()


def test_a_fact_is_the_same_text_whatever_order_its_fields_are_written_in() -> None:
    fact = Released(number=1, digest="d", guarantee="exact", members=["e"])
    written = fact.to_json()
    assert written.index('"digest"') < written.index('"guarantee"') < written.index('"members"')
    assert fact_from_json("released", written) == fact


def test_a_number_that_is_none_is_not_written() -> None:
    with pytest.raises(LedgerError, match="released"):
        Released(number=float("nan"), digest="d", guarantee="exact", members=[]).to_json()  # type: ignore[arg-type]


def test_a_kind_has_one_fact() -> None:
    class Other(Fact):
        kind: ClassVar[str] = "released"

    with pytest.raises(AssertionError):
        known_fact(Other)
    assert KINDS["released"] is Released


def test_a_signed_document_is_read_in_its_one_form_only() -> None:
    key = signed.owner_key("hospital")
    made = signed.statement("hospital", 1)
    assert read_document(made.to_line(), Statement) == made
    for other in (
        made.to_line().replace(":", ": ", 1),
        made.to_line() + "\n",
        replace(made, signature=made.signature.upper()).to_line(),
        replace(made, number=2).to_line(),
        replace(made, public_key=OwnerKey.generate().public.hex).to_line(),
        "{}",
    ):
        with pytest.raises(LedgerError):
            read_document(other, Statement)
    assert key.public.hex == made.public_key


@pytest.mark.parametrize(
    ("at", "told"), [("no day", "no date"), ("2026-06-01T12:00:00", "without a time zone"), ("", "no date")]
)
def test_a_moment_that_is_none_is_said(at: str, told: str) -> None:
    event = replace(Event.after(START, admitted(), NOON), at=at)
    with pytest.raises(LedgerError, match=told):
        _ = event.time


def test_events_follow_each_other_without_a_gap_or_a_change() -> None:
    first = Event.after(START, admitted(), NOON)
    second = Event.after(first.head, accepted(), NOON)
    second.check_follows(first.head)
    assert (first.sequence, second.sequence) == (1, 2)
    for wrong, told in (
        (replace(second, sequence=3), "event 2 is missing"),
        (replace(second, previous=START.digest), "does not follow"),
        (replace(second, body=first.body), "was changed"),
        (replace(second, at=first.at.replace("12:", "13:")), "was changed"),
        (replace(second, kind="released"), "was changed"),
    ):
        with pytest.raises(LedgerError, match=told):
            wrong.check_follows(first.head)


def test_work_for_an_owner_who_was_never_admitted_is_refused(ledger: Ledger) -> None:
    for fact in (
        UnitIssued(owner="stranger", unit="u", work="train"),
        UnitFinished(owner="stranger", unit="u", result="r", failure=""),
        Transferred(owner="stranger", blob="b", size=1, to_owner=True),
    ):
        with pytest.raises(LedgerError, match="'stranger' was never"):
            ledger.record(fact, NOON)
    assert not list(ledger.events())


def test_a_unit_is_finished_once_and_by_whom_it_was_issued_to(ledger: Ledger) -> None:
    for fact in (admitted(), admitted("bank"), UnitIssued(owner="hospital", unit="u", work="train")):
        ledger.record(fact, NOON)
    done = UnitFinished(owner="hospital", unit="u", result="r", failure="")
    with pytest.raises(LedgerError, match="never asked"):
        ledger.record(replace(done, owner="bank"), NOON)
    ledger.record(done, NOON)
    assert ledger.record(done, NOON) is None
    with pytest.raises(LedgerError, match="otherwise"):
        ledger.record(replace(done, result="another"), NOON)
    state = ledger.state()
    assert (set(state.open), set(state.done)) == (set(), {("hospital", "u")})


def test_what_was_withdrawn_under_one_key_stays_withdrawn_under_the_next(ledger: Ledger) -> None:
    """Numbers of two keys do not compare: the new key's first permission is number 1 as well."""
    hour, again = timedelta(hours=1), OwnerKey.generate()
    for fact in opening():
        ledger.record(fact, NOON)
    ledger.record(signed.stated("hospital", 1), NOON + hour)
    ledger.record(OwnerRevoked(owner="hospital", reason="lost its key"), NOON + hour)
    ledger.record(signed.admitted("hospital", domain="letters", key=again), NOON + 2 * hour)
    assert ledger.state().usable("any use", NOON + 2 * hour) == []
    with pytest.raises(LedgerError, match="another key"):
        ledger.record(signed.stated("hospital", 2, E1, ("any",), key=again), NOON + 3 * hour)
    assert ledger.state().usable("any use", NOON + 3 * hour) == []
    mine = signed.accepted("hospital", "e9", key=again)
    with pytest.raises(LedgerError, match="has withdrawn"):
        ledger.record(mine, NOON + 3 * hour)
