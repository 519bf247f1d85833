"""Attacks on consent by somebody who can write to the ledger's file: each of them held on commit da9bb40."""

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st
from tests.signed_facts import accepted, admitted, append_raw, stated

from atoll.errors import LedgerError
from atoll.experts.signing import OwnerKey
from atoll.ledger import (
    ConsentGiven,
    ConsentWithdrawn,
    Event,
    ExpertAccepted,
    Fact,
    FormatMarked,
    Ledger,
    OwnerAdmitted,
    OwnerRevoked,
    Released,
    State,
    StatementHeard,
    UseRestricted,
)

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
EXPERT = accepted("hospital", purposes=["research"])
E1 = EXPERT.expert
OPENING: list[Fact] = [admitted("hospital"), EXPERT]
GIVEN = ConsentGiven(owner="hospital", expert=E1, purposes=["any"], until=None, statement="", number=10**6)
THIEF = OwnerKey.generate()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.db"
    with Ledger.open(path) as ledger:
        ledger.record_all(OPENING, NOW)
    return path


def accepted_unsigned(purposes: list[str]) -> ExpertAccepted:
    return ExpertAccepted(
        owner="hospital", expert="sha256:" + "f" * 64, purposes=purposes, until=None, statement="", blob="b", anchor="a"
    )


def someone_elses_signature() -> StatementHeard:
    return stated("hospital", 1, E1, ["any"], key=THIEF)


def changed_words() -> StatementHeard:
    return StatementHeard(document=stated("hospital", 1, E1, ["research"]).document.replace("research", "anything"))


@pytest.mark.parametrize(
    "forged",
    [
        [GIVEN],
        [dataclasses.replace(GIVEN, number=0)],
        [ConsentWithdrawn(owner="hospital", expert="", statement="")],
        [accepted_unsigned(["any"])],
        [dataclasses.replace(accepted("hospital", "another"), purposes=["any", "sales"])],
        [dataclasses.replace(accepted("hospital", "another", key=THIEF))],
        [someone_elses_signature()],
        [changed_words()],
        [stated("hospital", 1, E1, ["any"]), stated("hospital", 1, E1, ["sales"])],
        [admitted("puppet"), stated("puppet", 1, E1, ["any"])],
        [dataclasses.replace(admitted("bank"), node_key="a key that it never asked with")],
        [OwnerAdmitted(owner="bank", domain="x", public_key="ab" * 32, node_key="k")],
        [OwnerRevoked(owner="hospital", reason=""), stated("hospital", 1, E1, ["any"])],
        [
            OwnerRevoked(owner="hospital", reason="it lost its key"),
            admitted("hospital", key=THIEF),
            stated("hospital", 1, E1, ["any"], key=THIEF),
        ],
        [stated("hospital", 1), accepted("hospital", "another")],
        [stated("hospital", 1), Released(number=1, digest="r", guarantee="exact", members=[E1])],
        [FormatMarked(version=1)],
        [UseRestricted(owner="hospital", expert=E1, purposes=["any"], until=None, reason="it said so")],
    ],
    ids=lambda facts: "+".join(type(fact).__name__ for fact in facts),
)
def test_nobody_speaks_in_an_owners_name(path: Path, forged: list[Fact]) -> None:
    append_raw(path, [(fact, NOW) for fact in forged])
    with Ledger.open(path) as ledger:
        with pytest.raises(LedgerError, match=r"cannot be|says again"):
            ledger.verify()
        with pytest.raises(LedgerError):
            ledger.state()


def test_a_genuine_withdrawal_counts_whatever_number_was_forged_before_it(tmp_path: Path) -> None:
    """The forged event of da9bb40 had number 1,000,000, and the owner's own withdrawal, its first, was old news."""
    path = tmp_path / "ledger.db"
    Ledger.open(path).close()
    append_raw(path, [(admitted("hospital"), NOW), (EXPERT, NOW), (GIVEN, NOW)])
    with Ledger.open(path) as ledger:
        assert ledger.state().experts[E1].consents.now.purposes == ("any",)
        assert not ledger.state().experts[E1].consents.signed, "it is shown as unsigned"
        assert ledger.record(stated("hospital", 1), NOW) is not None
        assert ledger.state().experts[E1].consents.now.purposes == ()


def test_a_withdrawal_of_before_version_2_stays_in_force(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    Ledger.open(path).close()
    told = dataclasses.replace(GIVEN, number=1)
    by_letter = ConsentWithdrawn(owner="hospital", expert="", statement="letter of 3 May")
    append_raw(path, [(admitted("hospital"), NOW), (EXPERT, NOW), (told, NOW), (by_letter, NOW)])
    with Ledger.open(path) as ledger:
        ledger.mark()
        ledger.record(stated("hospital", 1, E1, ["any"]), datetime.now(UTC))
        assert ledger.state().experts[E1].consents.now.purposes == (), "said before the letter, and told again"
        with pytest.raises(LedgerError, match="until it permits anew"):
            ledger.record(accepted("hospital", "another"))
        ledger.record(stated("hospital", 2, E1, ["care"]))
        assert ledger.state().experts[E1].consents.now.purposes == ("care",)
        assert ledger.record(accepted("hospital", "another")) is not None


def test_a_new_key_does_not_forget_what_was_withdrawn_under_the_old_one(path: Path) -> None:
    with Ledger.open(path) as ledger:
        ledger.record(stated("hospital", 4), NOW)
        ledger.record(OwnerRevoked(owner="hospital", reason="lost its key"), NOW)
        ledger.record(admitted("hospital", key=THIEF), NOW)
        assert ledger.state().experts[E1].consents.now.purposes == ()
        with pytest.raises(LedgerError, match="until it permits anew"):
            ledger.record(accepted("hospital", "another", key=THIEF), NOW)
        ledger.record(OwnerRevoked(owner="hospital", reason="found it"), NOW)
        ledger.record(admitted("hospital"), NOW)
        with pytest.raises(LedgerError, match="two different statements of number 4"):
            ledger.record(stated("hospital", 4, E1, ["any"]), NOW)


def test_a_new_key_withdraws_what_was_accepted_under_the_old_one(path: Path) -> None:
    with Ledger.open(path) as ledger:
        ledger.record(OwnerRevoked(owner="hospital", reason="lost its key"), NOW)
        ledger.record(admitted("hospital", key=THIEF), NOW)
        ledger.record(stated("hospital", 1, key=THIEF), NOW)
        assert ledger.state().experts[E1].consents.now.purposes == ()


@pytest.mark.parametrize("shift", [-timedelta(seconds=1), -timedelta(days=400)])
def test_backdated_events_are_refused(path: Path, shift: timedelta) -> None:
    append_raw(path, [(stated("hospital", 1, E1, ["research"]), NOW + shift)])
    with Ledger.open(path) as ledger, pytest.raises(LedgerError, match="before what is written before it"):
        ledger.verify()


def test_events_of_the_future_are_refused(path: Path) -> None:
    append_raw(path, [(stated("hospital", 1, E1, ["research"]), datetime.now(UTC) + timedelta(hours=1))])
    with Ledger.open(path) as ledger, pytest.raises(LedgerError, match="in the future"):
        ledger.verify()


def test_an_exchanged_history_is_noticed_by_who_has_it_open(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    with Ledger.open(other) as made:
        made.record_all([admitted("bank"), accepted("bank"), *OPENING], NOW)
    with Ledger.open(path) as ledger:
        ledger.state()
        ledger._engine.dispose()
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        path.write_bytes(_whole(other))
        with pytest.raises(LedgerError, match="rolled back or rewritten"):
            ledger.state()


def _whole(path: Path) -> bytes:
    import sqlite3

    with sqlite3.connect(path) as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.read_bytes()


OWN = st.tuples(st.sampled_from(["", E1]), st.sampled_from([(), ("any",), ("research",), ("care", "research")]))
LIMITS = st.tuples(st.sampled_from(["", E1]), st.sampled_from([(), ("any",), ("research",), ("sales",)]))
STEPS = st.one_of(st.tuples(st.just("owner"), OWN), st.tuples(st.just("operator"), LIMITS))
PURPOSES = ("any", "research", "care", "sales")


def fold(facts: list[Fact]) -> State:
    state = State()
    for fact in [FormatMarked(), *OPENING, *facts]:
        if state.is_news(fact, NOW):
            state.follow(Event.after(state.head, fact, NOW))
    return state


def uses(state: State) -> set[str]:
    return {purpose for purpose in PURPOSES if state.experts[E1].consents.now.permits(purpose, NOW)}


def limit(what: tuple[str, tuple[str, ...]], number: int) -> UseRestricted:
    return UseRestricted(owner="hospital", expert=what[0], purposes=list(what[1]), until=None, reason=f"{number}")


@settings(max_examples=40, deadline=None)
@for_all(said=st.lists(OWN, max_size=5), data=st.data())
def test_statements_count_by_their_numbers_whatever_order_they_come_in(
    said: list[tuple[str, tuple[str, ...]]], data: st.DataObject
) -> None:
    facts: list[Fact] = [stated("hospital", number, *what) for number, what in enumerate(said, 1)]
    shuffled = data.draw(st.permutations(facts))
    again = data.draw(st.lists(st.sampled_from(facts), max_size=3)) if facts else []
    one, other = fold(facts), fold([*shuffled, *again])
    assert uses(one) == uses(other)
    assert one.owners["hospital"].voice.out == other.owners["hospital"].voice.out
    about = [what for expert, what in said if expert or not what]
    expected = set(EXPERT.purposes) if not about else set(about[-1])
    assert uses(one) == (set(PURPOSES) if "any" in expected else expected)


@settings(max_examples=40, deadline=None)
@for_all(
    steps=st.lists(st.one_of(st.tuples(st.just("owner"), OWN), st.tuples(st.just("operator"), LIMITS)), max_size=8)
)
def test_an_operator_only_ever_takes_away(steps: list[tuple[str, tuple[str, tuple[str, ...]]]]) -> None:
    facts: list[Fact] = []
    number = 0
    for who, what in steps:
        before, mine = uses(fold(facts)), [fact for fact in facts if isinstance(fact, StatementHeard)]
        if who == "owner":
            number += 1
            facts.append(stated("hospital", number, *what))
            continue
        facts.append(limit(what, len(facts)))
        after = uses(fold(facts))
        assert after <= before
        assert after <= uses(fold(list(mine)))
