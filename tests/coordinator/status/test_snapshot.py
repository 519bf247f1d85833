import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from atoll.coordinator.status.live import Live
from atoll.coordinator.status.snapshot import Snapshot, snapshot
from atoll.errors import DataError
from atoll.ledger import Ledger, OwnerAdmitted

NOW = datetime.fromisoformat("2026-06-01T15:00:00+00:00")


def test_owners_and_their_nodes(found: Snapshot) -> None:
    stands = {owner.owner: (owner.node, owner.seen, owner.revoked) for owner in found.owners}
    assert stands == {
        "bank": ("none", None, ""),
        "clinic": ("alive", "2026-06-01T14:59:56+00:00", ""),
        "library": ("silent", "2026-06-01T14:53:00+00:00", ""),
        "mill": ("silent", None, "left the federation"),
    }
    clinic = found.owners[1]
    assert (clinic.bytes_from, clinic.bytes_to, clinic.received, clinic.sent) == (3 * 1024 * 1024, 2048, 1000, 2000)
    assert len(clinic.fingerprint) == 39
    assert clinic.admitted == "2026-06-01T12:00:00+00:00"
    assert (found.alive, found.silent) == (1, 1)


@pytest.mark.parametrize(("seconds", "node"), [(60, "alive"), (61, "silent")])
def test_a_node_is_alive_for_a_minute(ledger: Ledger, seconds: int, node: str) -> None:
    live = Live(lambda: NOW)
    live.seen("clinic")
    at = NOW + timedelta(seconds=seconds)
    assert snapshot(ledger.state(), live, at).owners[1].node == node


def test_experts_and_what_is_permitted(found: Snapshot) -> None:
    stands = {expert.owner: (expert.consent, expert.usable, expert.releases) for expert in found.experts}
    assert stands == {
        "bank": ("withdrawn", False, [1]),
        "clinic": ("given", True, [1, 2]),
        "library": ("restricted", True, [1, 2]),
    }
    library = found.experts[2]
    assert (library.purposes, library.until, library.since) == (
        ["research", "teaching"],
        "2027-01-31",
        "2026-06-01T13:00:00+00:00",
    )
    assert library.flagged == {"clinic": 0.25}
    assert found.experts[0].statement == "no more"


def test_consent_that_is_over_is_no_consent(ledger: Ledger, live: Live) -> None:
    later = snapshot(ledger.state(), live, NOW.replace(year=2027, month=2))
    assert [expert.usable for expert in later.experts] == [False, True, False]
    assert [release.usable for release in later.releases] == [False, False]


def test_releases_newest_first(found: Snapshot) -> None:
    assert [(release.number, release.usable) for release in found.releases] == [(2, True), (1, False)]
    members = {member.owner: member.usable for member in found.releases[1].members}
    assert members == {"bank": False, "clinic": True, "library": True}


def test_work_and_calls(found: Snapshot) -> None:
    clinic, library = found.work
    assert (clinic.work, clinic.done, clinic.total, clinic.since) == ("train", 30, 120, "2026-06-01T14:55:00+00:00")
    assert (library.work, library.done, library.total, library.since) == ("evaluate", 0, 0, None)
    (call,) = found.calls
    assert (call.work, call.owners, call.done, call.open) == ("train", [], 1, 1)


def test_failures_of_the_server_and_of_the_ledger(found: Snapshot) -> None:
    assert [(failure.owner, failure.what, failure.at is None) for failure in found.failures] == [
        ("library", "evaluate", False),
        ("", "call to release", True),
        ("bank", "unit u", True),
    ]
    assert found.failed == 1


def test_a_failure_in_both_is_said_once(ledger: Ledger, live: Live) -> None:
    live.failed("bank", "train", "its disk is full", NOW)
    said = snapshot(ledger.state(), live, NOW).failures
    assert [(failure.what, failure.reason) for failure in said if failure.owner == "bank"] == [
        ("train", "its disk is full")
    ]


def test_without_a_server_nobody_knows_who_is_alive(written: Snapshot) -> None:
    assert {owner.node for owner in written.owners} == {"unknown"}
    assert (written.started, written.failed, written.alive) == (None, None, 0)
    assert {(owner.received, owner.sent) for owner in written.owners} == {(None, None)}
    assert [failure.owner for failure in written.failures] == ["", "bank"]


def test_what_is_no_key_has_no_fingerprint(ledger: Ledger) -> None:
    ledger.record(OwnerAdmitted(owner="a", domain="", public_key="no key"), NOW)
    assert snapshot(ledger.state(), None, NOW).owners[0].fingerprint == ""


def test_json_and_back(found: Snapshot, written: Snapshot) -> None:
    assert Snapshot.from_json(found.to_json()) == found
    assert Snapshot.from_json(written.to_json()) == written
    assert found.to_json().isascii()
    assert list(json.loads(found.to_json())) == sorted(json.loads(found.to_json()))
    failure = found.failures[0]
    strange = replace(found, failures=[replace(failure, reason="ε: \ud800")])
    assert Snapshot.from_json(strange.to_json()) == replace(found, failures=[replace(failure, reason="ε: ?")])


def test_json_of_something_else_is_refused() -> None:
    with pytest.raises(DataError, match="status"):
        Snapshot.from_json('{"at": "now"}')


def test_a_reader_answers_many_at_once_with_what_is_new(read: Callable[[], Snapshot], ledger: Ledger) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: read(), range(32)))
    assert {answer.sequence for answer in answers} == {ledger.state().head.sequence}
