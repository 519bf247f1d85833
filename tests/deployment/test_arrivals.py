"""Owners who arrive one after the other at a running coordinator: trained beside the release, then audited."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from tests.deployment.federation import Federation, atoll

from atoll.coordinator.audits import read_audits
from atoll.experts.package import verify_package
from atoll.releases.opening import read_release

pytestmark = [pytest.mark.suite, pytest.mark.timeout(900)]
KIND = ["expert.kind=ffn", "beside=true", "arrival.budget=8"]
AUDIT = [
    "samples=12",
    "replayed=6",
    "neighbours=2",
    "extraction.prefixes=5",
    "extraction.prefix=6",
    "extraction.samples=2",
]


def test_a_newcomer_is_trained_beside_the_release_and_everyone_audits_the_next(make: Callable[..., Federation]) -> None:
    fed = make()
    path = fed.folder / "coordinator.yaml"
    config = {**yaml.safe_load(path.read_text()), "router": {"name": "top-k"}, "refit": {"steps": 2, "budget": 8}}
    path.write_text(yaml.safe_dump(config))
    fed.start("coordinator", "clinic")
    fed.train(*KIND, "--owner", "clinic")
    first = fed.release()
    fed.start("court")
    fed.train(*KIND, "--owner", "court")
    fed.release()
    folder = fed.folder / "releases" / "release-0002"
    release = read_release(folder)
    assert release.owners == ("clinic", "court")
    assert release.shared, "the router was fitted, on synthetic samples"
    assert "co-adapted" in release.guarantee
    card = verify_package(_package(folder, "court"), trusted=None).card
    assert (card.training["stage"], card.training["beside"]) == (2, first)
    assert int(card.training["replayed"]) > 0
    assert "2 of 2 owners" in fed.call("audit", *AUDIT)
    found = read_audits(folder)
    assert set(found) == {"clinic", "court"}
    assert all(0 <= figures["membership_loss_auc"] <= 1 for figures in found.values())
    assert "membership" in atoll("mixture", "show", folder)


def _package(folder: Path, owner: str) -> Path:
    return folder / "experts" / f"{owner}.atoll"
