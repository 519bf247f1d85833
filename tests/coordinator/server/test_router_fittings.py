"""A coordinator's router stops: within a fitting, and after so many fittings."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.coordinator.server.test_desk import have, release

from atoll.coordinator.server.shop import Shop
from atoll.coordinator.stream.config import RefitConfig
from atoll.experts.stop_config import RouterStop
from atoll.federation.units import Choice
from atoll.mixture.shared import Shared
from atoll.releases.folder import read_shared
from atoll.releases.opening import read_release


def fitted(shop: Shop, number: int) -> Shared:
    folder = shop.folder.releases / f"release-{number:04d}"
    shared = read_shared(read_release(folder), folder)
    assert shared is not None
    return shared


def same(one: Shared, other: Shared, slot: str) -> bool:
    return all(
        torch.equal(value, other.rows[site][slot][name])
        for site, slots in one.rows.items()
        for name, value in slots[slot].items()
    )


@pytest.mark.parametrize(("fittings", "kept"), [(1, True), (2, False)])
def test_after_so_many_fittings_only_newcomers_rows_move(shop: Shop, tmp_path: Path, fittings: int, kept: bool) -> None:
    refit = RefitConfig(steps=10, batch=2, budget=6, learning_rate=1e-3, fittings=fittings)
    shop.config = replace(shop.config, router=Choice(name="top-k"), refit=refit)
    have(shop, tmp_path, "clinic", "court")
    release(shop)
    have(shop, tmp_path, "yard")
    release(shop)
    first, later = fitted(shop, 1), fitted(shop, 2)
    assert {slot: same(first, later, slot) for slot in ("anchor", "clinic", "court")} == dict.fromkeys(
        ("anchor", "clinic", "court"), kept
    )
    assert set(later.fits[-1].samples) == {"clinic", "court", "yard"}, "everyone's domain is fitted on all the same"
    assert len(later.fits) == 2


def test_a_fitting_that_is_stopped_says_so(shop: Shop, tmp_path: Path) -> None:
    refit = RefitConfig(steps=30, batch=2, budget=4, stop=RouterStop(when="steps", after=3))
    shop.config = replace(shop.config, router=Choice(name="top-k"), refit=refit)
    have(shop, tmp_path, "clinic")
    release(shop)
    assert fitted(shop, 1).fits[0].stopped == 3
