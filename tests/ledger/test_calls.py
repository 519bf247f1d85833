"""Calls for work, what became of them, and facts that are written together."""

import pytest
from tests import signed_facts as signed

from atoll.errors import LedgerError
from atoll.ledger import (
    Called,
    CallFinished,
    ExpertAccepted,
    ExpertFlagged,
    Ledger,
    OwnerAdmitted,
    OwnerRevoked,
    StatementHeard,
    UnitFinished,
    UnitIssued,
)
from atoll.ledger.fact import fact_from_json

UNIT, EXPERT = "0" * 32, signed.accepted("clinic").expert


def admitted(owner: str = "clinic", *, node_key: str = "") -> OwnerAdmitted:
    return signed.admitted(owner, node_key=node_key)


def accepted(owner: str = "clinic") -> ExpertAccepted:
    return signed.accepted(owner)


def called(call: str, *owners: str) -> Called:
    return Called(call=call, work="train", what="{}", owners=list(owners))


def issued(call: str) -> UnitIssued:
    return UnitIssued(owner="clinic", unit=UNIT, work="train", call=call)


def finished(failure: str = "") -> UnitFinished:
    return UnitFinished(owner="clinic", unit=UNIT, result="" if failure else "r", failure=failure)


def test_facts_that_belong_together_are_written_all_or_not_at_all(where: str) -> None:
    with Ledger.open(where) as ledger, Ledger.open(where) as other:
        ledger.record(admitted())
        with pytest.raises(LedgerError, match="never asked"):
            ledger.record_all([accepted(), finished()])
        assert ledger.state().experts == other.state().experts == {}
        assert ledger.state().head.sequence == 2
        made = ledger.record_all([called("c"), issued("c"), accepted(), finished(), admitted()])
        assert [event.sequence for event in made] == [3, 4, 5, 6]
        assert ledger.verify().sequence == other.verify().sequence == 6
        assert ledger.record_all([called("c"), issued("c"), accepted(), finished()]) == []


def test_a_failed_unit_is_tried_again_for_another_call_only(where: str) -> None:
    with Ledger.open(where) as ledger:
        ledger.record_all([admitted(), called("one"), issued("one"), finished("the disk was full")])
        assert ledger.record(issued("one")) is None
        ledger.record_all([called("two"), issued("two")])
        assert ("clinic", UNIT) in ledger.state().open
        ledger.record(finished())
        ledger.record_all([called("three"), issued("three")])
        state = ledger.state()
        assert state.open == {}, "what is done is not done again"
        assert state.calls["three"].units == {"clinic": UNIT}
        assert state.done["clinic", UNIT].result == "r"


def test_calls_do_not_change_and_end_once(where: str) -> None:
    with Ledger.open(where) as ledger:
        ledger.record_all([admitted(), called("c", "clinic")])
        with pytest.raises(LedgerError, match="another one"):
            ledger.record(called("c"))
        with pytest.raises(LedgerError, match="never admitted"):
            ledger.record(called("d", "nobody"))
        with pytest.raises(LedgerError, match="no call"):
            ledger.record(CallFinished(call="d", result="", failure=""))
        ledger.record(CallFinished(call="c", result="done", failure=""))
        with pytest.raises(LedgerError, match="finished already"):
            ledger.record(CallFinished(call="c", result="", failure="no"))


def test_an_owners_statements_do_not_go_back(where: str) -> None:
    def given(number: int) -> StatementHeard:
        return signed.stated("clinic", number, EXPERT, ["research"])

    with Ledger.open(where) as ledger:
        ledger.record_all([admitted(), accepted(), given(1)])
        ledger.record(signed.stated("clinic", 2))
        assert ledger.record(given(1)) is None, "said before the withdrawal, repeated after it"
        with pytest.raises(LedgerError, match="two different statements of number 2"):
            ledger.record(given(2))
        assert ledger.state().experts[EXPERT].consents.now.purposes == ()
        assert ledger.record(given(3)) is not None
        assert ledger.state().experts[EXPERT].consents.now.purposes == ("research",)


def test_a_revoked_node_key_does_not_come_back(where: str) -> None:
    with Ledger.open(where) as ledger:
        ledger.record_all([admitted(node_key="one"), OwnerRevoked(owner="clinic", reason="stolen")])
        with pytest.raises(LedgerError, match="--renew"):
            ledger.record(admitted(node_key="one"))
        ledger.record_all([admitted(node_key="two"), OwnerRevoked(owner="clinic", reason="stolen again")])
        with pytest.raises(LedgerError, match="--renew"):
            ledger.record(admitted(node_key="one"))


def test_flags_are_kept_by_silo(where: str) -> None:
    with Ledger.open(where) as ledger:
        ledger.record_all([admitted(), admitted("court"), accepted()])
        flag = ExpertFlagged(owner="clinic", expert=EXPERT, by="court", added=0.25)
        ledger.record(flag)
        assert ledger.record(flag) is None
        assert ledger.state().experts[EXPERT].flagged == {"court": 0.25}


def test_what_older_versions_wrote_is_still_read() -> None:
    old = fact_from_json("owner-admitted", '{"domain":"x","owner":"clinic","public_key":"00"}')
    assert old == OwnerAdmitted(owner="clinic", domain="x", public_key="00", node_key="")
    unit = fact_from_json("unit-issued", '{"owner":"clinic","unit":"u","work":"train"}')
    assert unit == UnitIssued(owner="clinic", unit="u", work="train", call="")
