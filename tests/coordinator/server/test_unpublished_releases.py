"""A release is there when the ledger has it: a withdrawal stops one that is not, and an older ledger deletes none."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.coordinator.server.conftest import KEYS
from tests.coordinator.server.test_desk import have, release
from tests.signed_facts import stated

from atoll.coordinator.server.desk import Desk
from atoll.coordinator.server.history_guard import check_history
from atoll.coordinator.server.shop import Shop
from atoll.coordinator.server.unpublished import UnpublishedReleases
from atoll.errors import LedgerError


def published(shop: Shop) -> list[str]:
    return sorted(path.name for path in shop.folder.releases.glob("release-*"))


def test_a_withdrawal_between_choosing_and_writing_stops_the_release(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    have(shop, tmp_path, "clinic", "court")
    write = UnpublishedReleases.write

    def late(unwritten: UnpublishedReleases, made: Any, *rest: Any) -> None:
        write(unwritten, made, *rest)
        shop.ledger.record(stated("court", 1, key=KEYS["court"]))

    monkeypatch.setattr(UnpublishedReleases, "write", late)
    assert release(shop) == ""
    assert published(shop) == []
    assert list(shop.folder.releases.glob(".unwritten/*")) == []
    Desk(shop).turn()
    assert published(shop) == ["release-0001"]
    members = shop.ledger.state().releases[1].released.members
    assert [shop.ledger.state().experts[digest].accepted.owner for digest in members] == ["clinic"]
    assert not (shop.folder.releases / "release-0001" / "experts" / "court.atoll").exists()


def test_a_release_that_the_ledger_has_is_published_after_a_crash(shop: Shop, tmp_path: Path) -> None:
    have(shop, tmp_path, "clinic")
    release(shop)
    (shop.folder.releases / ".unwritten").mkdir()
    (shop.folder.releases / "release-0001").rename(shop.folder.releases / ".unwritten" / "release-0001")
    Desk(shop).turn()
    assert published(shop) == ["release-0001"]
    assert not (shop.folder.releases / ".unwritten").exists()


def test_an_older_ledger_deletes_no_newer_release(shop: Shop, tmp_path: Path) -> None:
    have(shop, tmp_path, "clinic")
    release(shop)
    path = shop.folder.root / "ledger.db"
    shop.ledger.close()
    head = shop.folder.ledger_head
    for kept in (path, head):
        shutil.copy(kept, tmp_path / kept.name)
    have(shop, tmp_path, "court")
    release(shop)
    newer = (shop.folder.releases / "release-0002" / "release.json").read_bytes()
    shop.ledger.close()
    for each in shop.folder.root.glob("ledger.db*"):
        each.unlink()
    shutil.copy(tmp_path / path.name, path)
    with pytest.raises(LedgerError, match="is gone"), shop.folder.open_ledger() as older:
        check_history(shop.folder, older, shop.key.public)
    shutil.copy(tmp_path / head.name, head)

    with shop.folder.open_ledger() as older:
        with pytest.raises(LedgerError, match="release-0002"):
            check_history(shop.folder, older, shop.key.public)
        shop.ledger = older
        said = release(shop)
        assert "does not know of releases that there are" in said
        assert "atoll coordinator restore" in said
        assert said == release(shop), "asking again does not get around it"
    (aside,) = shop.folder.releases.glob("set-aside-*")
    assert (aside / "release.json").read_bytes() == newer
