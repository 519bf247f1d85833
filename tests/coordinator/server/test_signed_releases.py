"""The coordinator's own releases: signed, in a chain, signed anew in time, and gone back to under a new number."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.coordinator.server.conftest import KEYS
from tests.coordinator.server.test_desk import have, release
from tests.signed_facts import stated

from atoll.coordinator.server.desk import Desk
from atoll.coordinator.server.own_releases import own_release, renew_latest
from atoll.coordinator.server.shop import Shop
from atoll.errors import ConfigError, MixtureError
from atoll.releases.envelope import ENVELOPE, ReleaseEnvelope, read_envelope
from atoll.releases.folder import release_folder
from atoll.releases.opening import read_release
from atoll.releases.trust import ReleaseMemory, Trust


def envelope(shop: Shop, number: int) -> ReleaseEnvelope:
    found = read_envelope(release_folder(shop.folder.releases, number))
    assert found is not None
    return found


def test_releases_are_a_signed_chain_that_names_the_ledgers_head(shop: Shop, tmp_path: Path) -> None:
    have(shop, tmp_path, "clinic", "court")
    before = shop.ledger.state().head
    assert "release 1" in release(shop)
    assert "release 2" in release(shop, without=["court"])
    one, two = envelope(shop, 1), envelope(shop, 2)
    assert (one.signer, two.signer) == (shop.key.public, shop.key.public)
    assert (one.previous, two.previous) == ("", one.identity)
    assert int(one.head.split(":")[0]) > before.sequence
    assert datetime.fromisoformat(one.expires) - datetime.now(UTC) > timedelta(days=89)


def test_going_back_is_a_new_number_with_old_content(shop: Shop, tmp_path: Path) -> None:
    have(shop, tmp_path, "clinic", "court")
    release(shop)
    release(shop, without=["court"])
    trust = Trust(key=shop.key.public, memory=ReleaseMemory(tmp_path / "reader"))
    read_release(release_folder(shop.folder.releases, 2), trust)
    assert "holds what release 1 held" in release(shop, like=1)
    state = shop.ledger.state()
    assert state.releases[3].released.digest == state.releases[1].released.digest
    with pytest.raises(MixtureError, match="--older"):
        read_release(release_folder(shop.folder.releases, 1), trust)
    assert read_release(release_folder(shop.folder.releases, 3), trust).owners == ("clinic", "court")
    with pytest.raises(ConfigError, match="--like"):
        release(shop, like=7)


def test_nobody_is_brought_back_by_going_back(shop: Shop, tmp_path: Path) -> None:
    digests = have(shop, tmp_path, "clinic", "court")
    release(shop)
    shop.ledger.record(stated("court", 1, digests["court"], key=KEYS["court"]))
    assert "does not permit any use" in release(shop, like=1)


def test_the_latest_release_is_signed_anew_in_time_and_one_that_is_withdrawn_from_is_not(
    shop: Shop, tmp_path: Path
) -> None:
    digests = have(shop, tmp_path, "clinic", "court")
    release(shop)
    first, folder = envelope(shop, 1), release_folder(shop.folder.releases, 1)
    assert not renew_latest(shop.folder, shop.config, shop.key, shop.ledger.state())
    soon = (datetime.now(UTC) + timedelta(days=3)).isoformat(timespec="seconds")
    replace(first, expires=soon).signed(shop.key).save(folder / ENVELOPE)
    Desk(shop).turn()
    again = envelope(shop, 1)
    assert datetime.fromisoformat(again.expires) - datetime.now(UTC) > timedelta(days=89)
    assert again.identity == first.identity
    replace(first, expires=soon).signed(shop.key).save(folder / ENVELOPE)
    shop.ledger.record(stated("court", 1, digests["court"], key=KEYS["court"]))
    assert not renew_latest(shop.folder, shop.config, shop.key, shop.ledger.state())


def test_a_release_that_was_changed_in_the_coordinators_folder_is_not_gone_on_with(shop: Shop, tmp_path: Path) -> None:
    have(shop, tmp_path, "clinic", "court")
    release(shop)
    folder = release_folder(shop.folder.releases, 1)
    raw = json.loads((folder / "release.json").read_text())
    raw["members"][0]["public_key"] = KEYS["yard"].public.hex
    (folder / "release.json").write_text(json.dumps(raw))
    with pytest.raises(MixtureError, match="not what was signed"):
        own_release(shop.folder, shop.ledger.state(), 1)
    assert "not what was signed" in release(shop, without=["court"])
