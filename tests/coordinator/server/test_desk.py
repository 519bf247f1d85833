"""Calls become units, and experts become releases: whoever is there, and nobody who may not be."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.coordinator.server.conftest import KEYS, package
from tests.signed_facts import admitted, stated

from atoll.coordinator.server.accept import accept_file
from atoll.coordinator.server.calls import call_audit, call_evaluation, call_release, call_training
from atoll.coordinator.server.desk import Desk
from atoll.coordinator.server.shop import Shop
from atoll.errors import ConfigError
from atoll.federation.measuring import MeasureUnit
from atoll.ledger import ExpertFlagged, OwnerRevoked, UnitFinished

DAY = 86400.0


def have(shop: Shop, folder: Path, *owners: str) -> dict[str, str]:
    """Accept experts of these owners; their digests."""
    return {
        owner: accept_file(
            shop.ledger, shop.anchor, shop.packages, package(shop.anchor, owner, folder / f"{owner}.atoll")
        )
        for owner in owners
    }


def release(shop: Shop, **how: object) -> str:
    """Call for a release, look once, and say what came of it; empty while it waits."""
    options = {"at_least": 1, "within": DAY, "without": [], "flagged": [], **how}
    call = call_release(shop.ledger, **options)  # type: ignore[arg-type]
    Desk(shop).turn()
    finished = shop.ledger.state().calls[call.call].finished
    return "" if finished is None else finished.failure or finished.result


def test_everyone_is_asked_and_who_comes_later_too(shop: Shop) -> None:
    desk = Desk(shop)
    first = call_training(shop.ledger, shop.anchor.digest, [], ["training.steps=3"])
    desk.turn()
    desk.turn()
    assert sorted(owner for owner, _ in shop.ledger.state().open) == ["clinic", "court", "yard"]
    shop.ledger.record(admitted("bank", node_key="its key"))
    shop.ledger.record(admitted("by-stick"))
    desk.turn()
    assert "bank" in shop.ledger.state().calls[first.call].units
    assert "by-stick" not in shop.ledger.state().calls[first.call].units, "it has no node to ask"
    second = call_training(shop.ledger, shop.anchor.digest, [], ["training.steps=4"])
    desk.turn()
    state = shop.ledger.state()
    assert state.calls[first.call].finished is not None
    assert len(state.calls[second.call].units) == 4


def test_a_call_for_some_ends_when_they_have_answered(shop: Shop) -> None:
    desk = Desk(shop)
    call = call_training(shop.ledger, shop.anchor.digest, ["clinic", "court"], [])
    desk.turn()
    unit = shop.ledger.state().calls[call.call].units["clinic"]
    shop.ledger.record(UnitFinished(owner="clinic", unit=unit, result="", failure="no"))
    desk.turn()
    assert shop.ledger.state().calls[call.call].finished is None
    shop.ledger.record(OwnerRevoked(owner="court", reason="x"))
    desk.turn()
    finished = shop.ledger.state().calls[call.call].finished
    assert finished is not None
    assert finished.result == "0 of 2 owners"


def test_a_release_waits_for_enough_and_no_longer_than_said(shop: Shop, tmp_path: Path) -> None:
    have(shop, tmp_path, "clinic")
    assert release(shop, at_least=2) == ""
    assert "release 1 of clinic:" in release(shop, at_least=2, within=-1.0)
    have(shop, tmp_path, "court")
    assert "release 2 of clinic, court" in release(shop, at_least=2)
    assert release(shop).startswith("release 2 of clinic, court"), "the same again is the same release"


def test_who_is_withdrawn_flagged_or_not_wanted_is_left_out(shop: Shop, tmp_path: Path) -> None:
    digests = have(shop, tmp_path, "clinic", "court", "yard")
    assert "release 1 of court, yard:" in release(shop, without=["clinic"])
    shop.ledger.record(ExpertFlagged(owner="court", expert=digests["court"], by="clinic", added=0.2))
    said = release(shop)
    assert "of clinic, yard:" in said
    assert "court: flagged by clinic (+0.200 nats)" in said
    assert "of clinic, court, yard:" in release(shop, flagged=["court"])
    shop.ledger.record(stated("yard", 1, key=KEYS["yard"]))
    assert "of clinic:" in release(shop)
    shop.ledger.record(stated("clinic", 1, key=KEYS["clinic"]))
    assert "no expert may be released" in release(shop)


def test_the_worst_goes_first_and_then_has_no_say(shop: Shop, tmp_path: Path) -> None:
    digests = have(shop, tmp_path, "clinic", "court", "yard")
    for owner, by, added in (("clinic", "court", 0.1), ("court", "clinic", 0.3), ("yard", "court", 0.2)):
        shop.ledger.record(ExpertFlagged(owner=owner, expert=digests[owner], by=by, added=added))
    assert "of clinic, yard:" in release(shop)


def test_a_half_written_release_never_was(shop: Shop, tmp_path: Path) -> None:
    have(shop, tmp_path, "clinic")
    half = shop.folder.releases / "release-0001"
    half.mkdir(parents=True)
    (half / "experts").mkdir()
    (half / "release.json").write_text("cut off")
    assert "release 1 of clinic" in release(shop)
    assert list(shop.ledger.state().releases) == [1]


def test_a_damaged_package_is_waited_for_not_released(shop: Shop, tmp_path: Path) -> None:
    digests = have(shop, tmp_path, "clinic", "court")
    blob = shop.ledger.state().experts[digests["court"]].accepted.blob
    path = shop.packages.path(blob)
    sound = path.read_bytes()
    path.write_bytes(sound[:-1] + b"x")
    assert release(shop) == ""
    assert not path.exists(), "it is removed, so that it is fetched again"
    path.write_bytes(sound)
    Desk(shop).turn()
    assert list(shop.ledger.state().releases) == [1]


def test_an_evaluation_needs_an_expert_and_asks_with_and_without_each(shop: Shop, tmp_path: Path) -> None:
    desk = Desk(shop)
    call = call_evaluation(shop.ledger, [])
    desk.turn()
    finished = shop.ledger.state().calls[call.call].finished
    assert finished is not None
    assert "call for training first" in finished.failure
    have(shop, tmp_path, "clinic", "court")
    call = call_evaluation(shop.ledger, [])
    desk.turn()
    (unit,) = set(shop.ledger.state().calls[call.call].units.values())
    for name in ("all", "without clinic", "without court"):
        assert f'"name":"{name}"' in shop.unit(unit)


@pytest.mark.parametrize("days", [-1, 1])
def test_consent_that_ends_is_looked_at_by_the_day(shop: Shop, tmp_path: Path, days: int) -> None:
    have(shop, tmp_path, "clinic")
    until = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()
    file = package(shop.anchor, "court", tmp_path / "court.atoll", until=until)
    digest = accept_file(shop.ledger, shop.anchor, shop.packages, file)
    at = datetime.now(UTC) + timedelta(days=days + 1)
    permitted = shop.ledger.state().experts[digest].consents.now.permits_something(at)
    assert permitted == (days < 0)


def test_members_are_asked_to_audit_the_latest_release(shop: Shop, tmp_path: Path) -> None:
    assert audit(shop) == "there is no release to audit; call for one first"
    have(shop, tmp_path, "clinic", "court")
    release(shop)
    assert audit(shop, "yard") == "yard has no expert in release 1"
    assert audit(shop, settings=["samples=30"]) == ""
    state = shop.ledger.state()
    assert sorted(owner for owner, _ in state.open) == ["clinic", "court"], "yard is in no release"
    ((_, address), *_) = state.open
    assert state.open["clinic", address].work == "evaluate"
    unit = MeasureUnit.from_json(shop.unit(address))
    digest = state.releases[1].released.digest
    assert unit.audit is not None
    assert (unit.audit.release, unit.audit.samples) == (digest, 30)
    assert [measurement.name for measurement in unit.measurements] == [digest]
    (candidate,) = unit.candidates
    assert candidate.owners == ["clinic", "court"]
    assert candidate.public_key == shop.key.public.hex
    candidate.check()
    with pytest.raises(ConfigError, match="samples is 0"):
        audit(shop, settings=["samples=0"])


def audit(shop: Shop, *owners: str, settings: list[str] | None = None) -> str:
    """Call for an audit, look once, and say why it failed."""
    call = call_audit(shop.ledger, list(owners), settings or [])
    Desk(shop).turn()
    finished = shop.ledger.state().calls[call.call].finished
    return "" if finished is None else finished.failure
