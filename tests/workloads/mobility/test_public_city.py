"""What is shipped of a city that was made from a table of positions tells nothing of anybody who was there."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from atoll.clients.node import Node
from atoll.clients.prior import make_prior
from atoll.clients.training.private_loop import settle_privacy
from atoll.errors import ConfigError
from atoll.experts.privacy_config import PrivacyConfig
from atoll.experts.training import TrainingConfig
from atoll.federation.units import Choice
from atoll.testing import toy_mobility_anchor
from atoll.workloads.mobility import Mobility, MobilityConfig
from atoll.workloads.mobility.table_config import TableConfig

USERS, SPOTS = 120, 40


def rows(without: int = -1) -> str:
    """Positions of people in one city, each about a few places of their own."""
    rng = np.random.default_rng(3)
    spots = np.stack([41 + rng.uniform(0, 0.1, SPOTS), -8.6 + rng.uniform(0, 0.1, SPOTS)], 1)
    lines = ["user,time,latitude,longitude"]
    for user in range(USERS):
        mine = rng.choice(SPOTS, 6, replace=False)
        visits = [f"u{user},{7200 * step},{spots[k][0]},{spots[k][1]}" for step, k in enumerate(rng.choice(mine, 12))]
        lines += visits if user != without else []
    return "\n".join(lines) + "\n"


def silo(folder: Path, without: int = -1, places: bool = False) -> Mobility:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "positions.csv").write_text(rows(without))
    table = TableConfig()
    if places:
        rng = np.random.default_rng(5)
        stops = [f"{41 + a:.5f},{-8.6 + b:.5f}" for a, b in rng.uniform(0, 0.1, (60, 2))]
        (folder / "stops.csv").write_text("latitude,longitude\n" + "\n".join(stops))
        table = TableConfig(locations=str(folder / "stops.csv"))
    return Mobility(MobilityConfig(format="table", paths=[str(folder / "positions.csv")], table=table))


@pytest.mark.parametrize("places", [False, True], ids=["made of positions", "public places"])
def test_leaving_a_user_out_changes_nothing_that_is_shipped(tmp_path: Path, places: bool) -> None:
    """Popularity ranks of all visits, test split included, changed in 59 of 60 cases."""
    whole = silo(tmp_path / "all", places=places).public_context()
    changed = [silo(tmp_path / "one", user, places).public_context() != whole for user in range(0, USERS, 6)]
    assert sum(changed) == 0


def test_public_places_are_the_locations_whoever_was_there(tmp_path: Path) -> None:
    there = silo(tmp_path, places=True)
    assert there.has_public_inputs
    assert there.city.n > 30
    assert not there.city.ranks.any()
    assert there.trajectories("train").location.max() < there.city.n
    assert there.replay_context(there.public_context()).n == there.city.n
    # A position counts as the nearest place.
    assert len(np.unique(there.trajectories("train").location)) <= SPOTS


def test_the_owner_trains_on_its_own_city_all_the_same(tmp_path: Path) -> None:
    there = silo(tmp_path)
    assert not there.has_public_inputs
    assert there.city.ranks.any()
    assert there.replay_context(there.public_context()).name == "unknown"


@pytest.mark.parametrize("tell", ["noised", "counts", "nothing"])
def test_no_prior_is_told_over_places_that_are_made_of_the_data(tmp_path: Path, tell: str) -> None:
    silo(tmp_path / "node")
    anchor = toy_mobility_anchor(tmp_path / "anchor")
    data = {"workload": "mobility", "format": "table", "paths": [str(tmp_path / "node" / "positions.csv")]}
    config = {"owner": "town", "domain": "walks", "data": data, "anchor": str(anchor.path), "device": "cpu"}
    (tmp_path / "node" / "node.yaml").write_text(yaml.safe_dump({**config, "replay": {"tell": tell}}))
    prior = make_prior(Node(tmp_path / "node"), Choice(name="movegcl"))
    assert prior is not None
    assert json.dumps(sorted(prior.tensors)) == "[]"


def test_private_training_over_such_a_city_is_refused(tmp_path: Path) -> None:
    training, promise = TrainingConfig(batch=8), PrivacyConfig(epsilon=8.0, unit="user")
    with pytest.raises(ConfigError, match="people's positions"):
        settle_privacy(promise, training, silo(tmp_path / "own"))
    pytest.importorskip("opacus.accountants", reason="private training needs Opacus")
    assert settle_privacy(promise, training, silo(tmp_path / "public", places=True)).plan.units > 50
