"""A backup holds all but experts in the clear; restoring one, or any older ledger, loses no withdrawal."""

import shutil
import sqlite3
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.coordinator.server.conftest import KEYS
from tests.coordinator.server.test_desk import have, release
from tests.signed_facts import append_raw, stated
from typer.testing import CliRunner

from atoll.cli.app import app
from atoll.coordinator.backup.archive import write_backup
from atoll.coordinator.backup.restore import restore
from atoll.coordinator.permitted import Permitted
from atoll.coordinator.server.desk import Desk
from atoll.coordinator.server.folder import ServerFolder
from atoll.coordinator.server.history_guard import check_history
from atoll.coordinator.server.shop import Shop
from atoll.errors import FederationError, LedgerError
from atoll.ledger import ConsentGiven, Ledger, OwnerConfirmed, UseRestricted
from atoll.releases.folder import release_folder
from atoll.releases.opening import read_release


@pytest.fixture
def kept(shop: Shop, tmp_path: Path) -> Path:
    """A backup of a coordinator with three experts and a release."""
    have(shop, tmp_path, "clinic", "court", "yard")
    release(shop)
    write_backup(shop.folder, tmp_path / "backup.tar", shop.key)
    return tmp_path / "backup.tar"


def withdraw(ledger: Ledger, owner: str) -> None:
    ledger.record(stated(owner, 1, key=KEYS[owner]))


def usable(ledger: Ledger) -> list[str]:
    return [expert.accepted.owner for expert in ledger.state().experts.values() if expert.consents.now.purposes]


def test_a_newer_ledger_stays(shop: Shop, kept: Path) -> None:
    withdraw(shop.ledger, "court")
    head = shop.ledger.state().head
    done = restore(shop.folder, kept, "a file was lost")
    assert (done.ledger, done.awaited) == ("kept", [])
    with shop.folder.open_ledger() as ledger:
        assert ledger.state().head == head
        assert usable(ledger) == ["clinic", "yard"]


def test_what_owners_stated_in_a_ledger_that_is_damaged_is_carried_over(shop: Shop, kept: Path) -> None:
    withdraw(shop.ledger, "court")
    shop.ledger.record(UseRestricted(owner="yard", expert="", purposes=[], until=None, reason="letter"))
    have_events = shop.ledger.state().head.sequence
    shop.ledger.close()
    with sqlite3.connect(shop.folder.root / "ledger.db") as raw:
        raw.execute("DROP TRIGGER append_only_delete")
        raw.execute("DELETE FROM events WHERE sequence = 3")
    with pytest.raises(LedgerError), shop.folder.open_ledger() as ledger:
        check_history(shop.folder, ledger, shop.key.public)
    done = restore(shop.folder, kept, "the disk failed")
    assert (done.ledger, done.statements) == ("from the backup", 2)
    with shop.folder.open_ledger() as ledger:
        check_history(shop.folder, ledger, shop.key.public)
        assert usable(ledger) == ["clinic"]
        assert ledger.state().head.sequence > have_events - 2
    assert list(shop.folder.root.glob("ledger.db.set-aside-1*"))


def test_nothing_is_released_or_answers_before_everyone_was_heard(shop: Shop, kept: Path) -> None:
    withdraw(shop.ledger, "court")
    shop.ledger.close()
    for path in shop.folder.root.glob("ledger.db*"):
        path.unlink()
    done = restore(shop.folder, kept, "the disk failed")
    assert done.awaited == ["clinic", "court", "yard"]
    made = read_release(release_folder(shop.folder.releases, 1), unsigned=True)
    with shop.folder.open_ledger() as ledger:
        shop.ledger = ledger
        with pytest.raises(LedgerError, match="clinic, court, yard may have withdrawn"):
            Permitted(ledger, made).owners()
        assert release(shop) == ""
        withdraw(ledger, "court")  # its node tells it again
        for owner, reason in (("court", ""), ("clinic", ""), ("yard", "called them")):
            assert release(shop) == ""
            ledger.record(OwnerConfirmed(owner=owner, reason=reason))
        assert Permitted(ledger, made).owners() == ["clinic", "yard"]
        Desk(shop).turn()
        assert "of clinic, yard" in release(shop)


def test_going_on_from_an_older_ledger_keeps_newer_releases(shop: Shop, tmp_path: Path) -> None:
    have(shop, tmp_path, "clinic")
    release(shop)
    shop.ledger.close()
    path = shop.folder.root / "ledger.db"
    shutil.copy(path, tmp_path / "older.db")
    have(shop, tmp_path, "court")
    release(shop)
    shop.ledger.close()
    newer = (shop.folder.releases / "release-0002" / "release.json").read_bytes()
    for each in shop.folder.root.glob("ledger.db*"):
        if each.suffix != ".head":
            each.unlink()
    shutil.copy(tmp_path / "older.db", path)
    with pytest.raises(LedgerError, match="rolled back or rewritten"):
        shop.folder.open_ledger()
    done = restore(shop.folder, None, "only this copy is left")
    (aside,) = done.set_aside
    assert (shop.folder.releases / aside / "release.json").read_bytes() == newer
    with shop.folder.open_ledger() as ledger:
        check_history(shop.folder, ledger, shop.key.public)
        for owner in done.awaited:
            ledger.record(OwnerConfirmed(owner=owner))
        shop.ledger = ledger
        have(shop, tmp_path, "court")
        assert release(shop).startswith("release 2 of clinic, court")
        check_history(shop.folder, ledger, shop.key.public)


def test_a_forged_event_is_left_behind_and_the_withdrawal_after_it_is_not(shop: Shop, tmp_path: Path) -> None:
    digests = have(shop, tmp_path, "clinic", "court")
    shop.ledger.close()
    forged = ConsentGiven(
        owner="court", expert=digests["court"], purposes=["any"], until=None, statement="", number=10**9
    )
    now = datetime.now(UTC)
    append_raw(shop.folder.root / "ledger.db", [(forged, now), (stated("court", 1, key=KEYS["court"]), now)])
    with pytest.raises(LedgerError, match="did not sign"), shop.folder.open_ledger() as ledger:
        check_history(shop.folder, ledger, shop.key.public)
    done = restore(shop.folder, None, "somebody wrote into the database")
    assert (done.ledger, done.statements) == ("up to its first event that cannot be", 1)
    with shop.folder.open_ledger() as ledger:
        check_history(shop.folder, ledger, shop.key.public)
        assert usable(ledger) == ["clinic"]
    assert list(shop.folder.root.glob("ledger.db.set-aside-1*"))


def test_experts_are_in_a_backup_only_sealed_and_come_back_with_their_keys(
    shop: Shop, kept: Path, tmp_path: Path
) -> None:
    with tarfile.open(kept) as tar:
        names = tar.getnames()
    assert not [name for name in names if name.startswith(("expert-keys", "coordinator.key", "tls"))]
    assert not [name for name in names if name.endswith(".atoll") or name.startswith("packages")]
    assert len([name for name in names if name.endswith(".sealed")]) == 3
    blobs = shop.packages.digests()
    shutil.rmtree(shop.folder.packages)
    shutil.rmtree(release_folder(shop.folder.releases, 1))
    assert restore(shop.folder, kept, "the disk failed").missing == 0
    assert sorted(shop.packages.digests()) == sorted(blobs)
    assert len(list(release_folder(shop.folder.releases, 1).glob("experts/*.atoll"))) == 3


def test_a_backup_goes_to_another_machine_by_command(shop: Shop, kept: Path, tmp_path: Path) -> None:
    shop.ledger.close()
    full, other = tmp_path / "full.tar", tmp_path / "other"
    run = CliRunner().invoke
    done = run(app, ["coordinator", "backup", str(shop.folder.root), "--out", str(full), "--keys"])
    assert done.exit_code == 0, done.output
    assert full.stat().st_mode & 0o077 == 0
    done = run(app, ["coordinator", "restore", str(other), str(full), "--reason", "a new machine"])
    assert done.exit_code == 0, done.output
    assert "clinic, court, yard" in done.output
    for owner in ("clinic", "court", "yard"):
        done = run(app, ["coordinator", "confirm", str(other), owner, "--reason", "called them"])
        assert done.exit_code == 0, done.output
    with ServerFolder(other).open_ledger() as ledger:
        check_history(ServerFolder(other), ledger, shop.key.public)
        assert ledger.state().awaited == set()


def test_a_backup_that_was_changed_is_refused(shop: Shop, kept: Path, tmp_path: Path) -> None:
    folder = tmp_path / "unpacked"
    with tarfile.open(kept) as tar:
        tar.extractall(folder, filter="data")
    events = folder / "ledger.jsonl"
    events.write_text("".join(events.read_text().splitlines(keepends=True)[:-2]))
    with tarfile.open(tmp_path / "changed.tar", "w") as tar:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                tar.add(path, str(path.relative_to(folder)))
    with pytest.raises(FederationError, match="other files than its coordinator signed"):
        restore(shop.folder, tmp_path / "changed.tar", "x")
