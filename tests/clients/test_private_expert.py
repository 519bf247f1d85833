"""An expert trained with differential privacy: its card, kills, what it rests on, and the owner's policy."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from tests.workloads.mobility.samples import city

from atoll.clients.gate.offline import train_offline
from atoll.clients.gate.policy import Policy, Refusal
from atoll.clients.node import Node
from atoll.clients.training.privacy_plan import plan_privacy
from atoll.clients.training.private_loop import settle_privacy
from atoll.clients.work import train_expert
from atoll.errors import ConfigError
from atoll.experts.arrival_config import ArrivalConfig
from atoll.experts.card import ExpertCard
from atoll.experts.package import ExpertPackage, read_package
from atoll.experts.privacy_config import PrivacyConfig
from atoll.experts.signing import OwnerKey
from atoll.federation.units import Choice, MemberRef, Past, TrainUnit
from atoll.testing import toy_mobility_anchor
from atoll.workloads.mobility.city import write_locations
from atoll.workloads.mobility.lines import write_trajectories
from atoll.workloads.mobility.trajectories import Trajectories, starts

from .conftest import Silo, quiet, text_of, train_unit
from .test_train_expert import KILLED

KINDS: dict[str, dict[str, Any]] = {
    "lora on cached states": {"kind": "lora", "last_layers": 1},
    "ffn": {"kind": "ffn", "last_layers": 1},
    "ffn alone": {"kind": "ffn", "coordinated": False, "last_layers": 1},
}
EIGHT = PrivacyConfig(epsilon=8.0)


@pytest.fixture
def opacus() -> None:
    pytest.importorskip("opacus.accountants", reason="private training needs Opacus")


def trained(node: Node, unit: TrainUnit) -> ExpertPackage:
    _, file = train_expert(node, unit, quiet)
    return read_package(file, trusted=node.key.public)


def strict(node: Node, **rules: Any) -> Policy:
    return Policy(coordinators=[node.key.public.hex], privacy_required=True, **rules)


@pytest.mark.usefixtures("opacus")
@pytest.mark.parametrize("name", KINDS)
def test_the_card_says_what_was_spent_and_the_policy_takes_it(silo: Silo, name: str) -> None:
    node = silo()
    unit = train_unit(node, **KINDS[name], privacy=EIGHT)
    said: list[str] = []
    strict(node).allow_training(unit, node.announcement())
    _, file = train_expert(node, unit, lambda done, total, note: said.append(note))
    card = read_package(file, trusted=node.key.public).card
    assert card.privacy is not None
    windows = text_of(node).windows("train")
    plan = plan_privacy(EIGHT, units=windows, batch=4, steps=6)
    assert card.privacy.epsilon == plan.epsilon(6) == pytest.approx(8, abs=0.02)
    assert card.privacy.delta == plan.delta < 1 / max(windows, card.documents["train"])
    assert (card.training["privacy_unit"], card.training["noise"]) == ("sequence", plan.noise)
    # Not tokens_seen, which would tell how many units were drawn.
    asked = {"router"} if card.settings.get("coordinated") else set()  # the coordinator's own word
    assert set(card.training) == {"steps", "best_step", "seed", "privacy_unit", "noise", "clip"} | asked
    assert not any("loss" in note.replace("best validation", "") for note in said), "the training loss is not private"
    strict(node).allow_expert(card, has_shares=True, has_directions=True, prior=None, size=1)
    with pytest.raises(Refusal, match="max_epsilon"):
        strict(node, max_epsilon=7.9).allow_expert(card, has_shares=True, has_directions=True, prior=None, size=1)


@pytest.mark.slow
@pytest.mark.usefixtures("opacus")
@pytest.mark.skipif(os.name != "posix", reason="there is no SIGKILL")
def test_killed_and_resumed_is_bit_identical(silo: Silo) -> None:
    node, step = silo(), 3
    unit = train_unit(node, **KINDS["ffn"], privacy=EIGHT)
    node.frame(node.model(), ["model.layers.2.mlp"])
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, str(node.folder), unit.to_json(), str(step)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    (work,) = (node.folder / "work").iterdir()
    assert torch.load(work / "checkpoint.pt", weights_only=True)["progress"]["step"] == step - 1
    resumed = trained(node, unit)
    begin_anew(work)
    assert trained(node, unit).digest == resumed.digest
    begin_anew(work)
    (work / "secret").unlink()
    assert trained(node, unit).digest != resumed.digest, "the draws and the noise came from elsewhere"


def begin_anew(work: Path) -> None:
    """Forget everything of a training but its secret."""
    for path in [path for path in work.iterdir() if path.name != "secret"]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.mark.usefixtures("opacus")
@pytest.mark.parametrize("step", [1, 4, 5])
def test_interrupted_at_any_step_the_expert_is_the_same(silo: Silo, step: int) -> None:
    node = silo()
    unit = train_unit(node, last_layers=1, privacy=EIGHT)

    def report(done: int, total: int, note: str) -> None:
        if done == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_expert(node, unit, report)
    (work,) = (node.folder / "work").iterdir()
    resumed = trained(node, unit)
    begin_anew(work)
    assert trained(node, unit).digest == resumed.digest


@pytest.mark.usefixtures("opacus")
def test_the_validation_split_neither_ends_nor_chooses(silo: Silo) -> None:
    """Which step's weights leave, and after how many steps, is the validation split's own data without noise."""
    node = silo()
    rates: dict[str, Any] = {
        "learning_rate": 3.0,
        "warmup": 0,
        "schedule": "constant",
        "evaluate_every": 1,
        "patience": 2,
    }
    card = trained(node, train_unit(node, privacy=EIGHT, steps=40, **rates)).card
    assert card.training["steps"] == card.training["best_step"] == 40
    assert card.metrics == {}
    plan = plan_privacy(EIGHT, units=text_of(node).windows("train"), batch=4, steps=40)
    assert card.privacy is not None
    assert card.privacy.epsilon == plan.epsilon(40) <= 8


@pytest.mark.usefixtures("opacus")
def test_steps_that_drew_nobody_are_steps(silo: Silo) -> None:
    node = silo()
    assert trained(node, train_unit(node, privacy=EIGHT, batch=1, steps=8)).card.training["steps"] == 8


def test_without_opacus_it_says_what_to_install_and_others_train(silo: Silo, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "opacus"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opacus", None)
    node = silo()
    with pytest.raises(ConfigError, match=r"pip install 'atoll\[privacy\]'"):
        train_expert(node, train_unit(node, privacy=PrivacyConfig(epsilon=7.0)), quiet)
    assert not list(node.folder.glob("**/*.atoll"))
    assert trained(node, train_unit(node)).card.privacy is None


def past(members: list[MemberRef]) -> Past:
    return Past(
        release="sha256:" + "0" * 64,
        members=members,
        integrator=Choice(name="flexolmo"),
        router=Choice(name="top-k"),
        shared="",
        stage=1,
        arrival=ArrivalConfig(),
        replay=Choice(name="autoregressive"),
    )


@pytest.mark.usefixtures("opacus")
def test_the_first_to_arrive_is_trained_by_itself(silo: Silo) -> None:
    node = silo()
    first = trained(node, train_unit(node, last_layers=1, privacy=EIGHT, past=past([]))).card
    assert first.privacy is not None
    assert first.privacy == trained(node, train_unit(node, last_layers=1, privacy=EIGHT)).card.privacy


def test_what_cannot_be_kept_to_is_refused_before_training(silo: Silo) -> None:
    node = silo()
    other = MemberRef(owner="court", digest="sha256:1", blob="sha256:2", public_key="3")
    for changes, message in (
        ({"privacy": replace(EIGHT, unit="user")}, "workload text does not know whose"),
        ({"privacy": replace(EIGHT, clip=0.0)}, r"privacy\.clip"),
        ({"privacy": EIGHT, "past": past([other])}, "sparse dispatch"),
    ):
        with pytest.raises(ConfigError, match=message):
            train_expert(node, train_unit(node, **changes), quiet)
    assert not list(node.folder.glob("**/secret"))


@pytest.mark.usefixtures("opacus")
def test_the_owners_policy_from_its_file_to_the_folder(silo: Silo) -> None:
    node = silo()
    OwnerKey.generate().save(node.folder / "owner.key")
    (node.folder / "policy.yaml").write_text(yaml.safe_dump({"coordinators": [], "privacy_required": True}))
    settings = ["training.steps=4", "training.batch=4", "expert.last_layers=1", "descriptor.documents=8"]
    with pytest.raises(Refusal, match=r"privacy_required.*privacy\.epsilon=8"):
        train_offline(node.folder, settings)
    with pytest.raises(Refusal, match="max_epsilon"):
        train_offline(node.folder, [*settings, "privacy.epsilon=9"])
    with pytest.raises(Refusal, match="no promise to 40 documents"):
        train_offline(node.folder, [*settings, "privacy.epsilon=8", "privacy.delta=0.03"])
    assert not list(node.folder.glob("work/*")), "it was trained all the same"
    made = train_offline(node.folder, [*settings, "privacy.epsilon=8"])
    card = ExpertCard.from_yaml((made / "card.yaml").read_bytes())
    assert card.privacy is not None
    assert 0 < card.privacy.epsilon <= 8


PEOPLE, EACH, LENGTH = 30, 3, 6


@pytest.fixture
def town(tmp_path: Path) -> Node:
    """A silo of trajectories, three of each person."""
    places, rng = city(40), np.random.default_rng(0)
    count, visits = PEOPLE * EACH, PEOPLE * EACH * LENGTH
    ones = np.ones(visits, dtype=np.float32)
    walks = Trajectories(
        np.repeat(np.arange(PEOPLE), EACH),
        ones[:count],
        ones[:count],
        starts([LENGTH] * count),
        rng.integers(0, places.n, visits).astype(np.int32),
        rng.integers(0, 7, visits).astype(np.int8),
        rng.integers(0, 48, visits).astype(np.int8),
        ones,
        ones,
    )
    folder = tmp_path / "town"
    folder.mkdir()
    write_locations(folder / "Town.npy", places)
    write_trajectories(folder / "walks.txt", walks)
    anchor = toy_mobility_anchor(tmp_path / "mobility")
    data = {"workload": "mobility", "paths": [str(folder / "walks.txt")], "locations": str(folder / "Town.npy")}
    config = {"owner": "town", "domain": "walks", "data": data, "anchor": str(anchor.path), "device": "cpu"}
    (folder / "node.yaml").write_text(yaml.safe_dump(config))
    return Node(folder)


@pytest.mark.usefixtures("opacus")
def test_a_workload_that_knows_people_promises_something_to_them(town: Node) -> None:
    users = town.workload.persons("train")
    assert users is not None
    people = len(np.unique(users))
    assert len(users) == EACH * people == town.workload.counts["train"].documents
    training = train_unit(town, batch=6).training
    with pytest.raises(ConfigError, match=r"take privacy\.unit=user"):
        settle_privacy(EIGHT, training, town.workload)
    private = settle_privacy(replace(EIGHT, unit="user"), training, town.workload)
    assert (private.plan.units, private.plan.rate) == (people, 6 / people)
    assert private.plan.delta < 1 / len(users)
    assert private.persons is not None


@pytest.mark.usefixtures("opacus")
@pytest.mark.parametrize("kind", ["lora", "ffn"])
def test_trajectories_are_trained_on_person_by_person(town: Node, kind: str) -> None:
    unit = train_unit(
        town, kind, privacy=replace(EIGHT, unit="user"), descriptor_counted=0, coordinated=False, last_layers=1
    )
    card = trained(town, unit).card
    assert card.privacy is not None
    assert card.privacy.epsilon <= 8
    assert card.training["privacy_unit"] == "user"
    strict(town, min_documents=10).allow_expert(card, has_shares=False, has_directions=False, prior=None, size=1)
