"""A newcomer is trained beside the latest release, and a release's router is fitted where the coordinator says so."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.coordinator.server.test_desk import have, release

from atoll.coordinator.server.calls import TrainCall, call_training
from atoll.coordinator.server.latest import Latest
from atoll.coordinator.server.shop import Shop
from atoll.coordinator.stream.config import RefitConfig
from atoll.errors import ConfigError
from atoll.federation.units import Choice
from atoll.releases.folder import read_shared
from atoll.releases.opening import open_release, read_release

TOP_K = Choice(name="top-k")


def latest(shop: Shop) -> Latest:
    return Latest.of(shop.folder, shop.config, shop.anchor, shop.ledger.state())


def called(shop: Shop, *settings: str) -> TrainCall:
    made = call_training(shop.ledger, shop.anchor.digest, [], list(settings), latest(shop))
    return TrainCall.from_json(made.what)


@pytest.fixture
def fitting(shop: Shop) -> Shop:
    """The coordinator, with a router that can be fitted and a little time for it."""
    shop.config = replace(shop.config, router=TOP_K, refit=RefitConfig(steps=2, batch=2, budget=4))
    return shop


def test_the_first_are_trained_beside_nobody(shop: Shop) -> None:
    assert called(shop).unit.past is None
    past = called(shop, "beside=true").unit.past
    assert past is not None
    assert (past.members, past.release, past.stage) == ([], "", 1)


def test_a_newcomer_is_trained_beside_the_latest_release(shop: Shop, tmp_path: Path) -> None:
    have(shop, tmp_path, "clinic", "court")
    release(shop)
    unit = called(shop, "beside=true", "arrival.budget=64").unit
    assert unit.past is not None
    assert [member.owner for member in unit.past.members] == ["clinic", "court"]
    assert (unit.past.stage, unit.past.arrival.budget) == (2, 64)
    assert unit.past.release == read_release(shop.folder.releases / "release-0001").digest
    assert unit.needs == [member.blob for member in unit.past.members]
    assert unit.replay == Choice(name="autoregressive"), "its own prior is made for those that come later"


def test_impossible_arrivals_are_refused_at_the_call(shop: Shop) -> None:
    with pytest.raises(ConfigError, match=r"arrival\.budget"):
        called(shop, "beside=true", "arrival.budget=0")


def test_a_release_is_exact_unless_its_router_is_fitted(shop: Shop, tmp_path: Path) -> None:
    have(shop, tmp_path, "clinic")
    release(shop)
    made = read_release(shop.folder.releases / "release-0001")
    assert (made.guarantee, made.shared) == ("exact", "")


def test_a_fitted_router_is_part_of_the_release(fitting: Shop, tmp_path: Path) -> None:
    have(fitting, tmp_path, "clinic", "court")
    assert release(fitting).startswith("release 1 of clinic, court")
    folder = fitting.folder.releases / "release-0001"
    made = read_release(folder)
    assert made.guarantee.startswith("co-adapted: the router was fitted")
    shared = read_shared(made, folder)
    assert shared is not None
    assert set(shared.fits[0].samples) == {"clinic", "court"}
    opened = open_release(folder, anchor=str(fitting.anchor.path))
    assert opened.mixture.slots == ("anchor", "clinic", "court")
    assert called(fitting, "beside=true").unit.needs[-1] == made.shared, "the next newcomer gets it too"


def test_after_a_withdrawal_the_router_is_fitted_from_the_members_alone(fitting: Shop, tmp_path: Path) -> None:
    have(fitting, tmp_path, "clinic", "court")
    release(fitting)
    assert "release 2 of clinic:" in release(fitting, without=["court"])
    folder = fitting.folder.releases / "release-0002"
    shared = read_shared(read_release(folder), folder)
    assert shared is not None
    assert shared.seen("court") == ()
    assert all("court" not in slots for slots in shared.rows.values())
