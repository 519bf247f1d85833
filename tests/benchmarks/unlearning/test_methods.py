"""Unlearning of whole models and of one expert, on toys."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.clients.conftest import torch_as_it_was as torch_as_it_was

from atoll.benchmarks.suites.study import Work
from atoll.benchmarks.suites.suite import read_suite
from atoll.benchmarks.unlearning.comparison import compare
from atoll.benchmarks.unlearning.methods import OBJECTIVES, Erasure, Sides, unlearn, unlearn_one_expert
from atoll.benchmarks.unlearning.models import Models
from atoll.benchmarks.unlearning.silos import LEAVES, text_config
from atoll.benchmarks.unlearning.study import Unlearning
from atoll.clients.node import Node
from atoll.config import to_yaml
from atoll.errors import ConfigError
from atoll.federation.node_config import NodeConfig
from atoll.federation.units import Choice
from atoll.privacy.scorecard import AFTER, BEFORE, NEVER_HAD
from atoll.privacy.unlearning_config import UnlearningConfig
from atoll.replay import Teacher
from atoll.testing import toy_anchor
from atoll.workloads.scoring import document_losses, documents_of

CONFIG = UnlearningConfig(documents=12, gradient="never")
LETTERS = {LEAVES: "abcdefgh", "hospital": "mnopqrst"}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    folder = tmp_path_factory.mktemp("models")
    toy_anchor(folder / "anchor", seed=3)
    nodes = {}
    for owner, letters in LETTERS.items():
        own = folder / owner
        own.mkdir()
        draw = np.random.default_rng(len(owner))
        texts = ["".join(draw.choice(list(letters), 60)) for _ in range(80)]
        (own / "documents.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        data = text_config(own / "documents.jsonl")
        config = NodeConfig(owner=owner, domain="letters", data=data, anchor=str(folder / "anchor"), device="cpu")
        (own / "node.yaml").write_text(to_yaml(config))
        nodes[owner] = Node(own)
    return Models(folder, nodes, steps=20, seed=0)


def _sides(models: Models, before: Teacher) -> Sides:
    forget, retain = (documents_of(models.nodes[owner].workload, "train", 12, 8) for owner in (LEAVES, "hospital"))
    holdout = documents_of(models.nodes[LEAVES].workload, "test", 12, 8)
    return Sides(forget=forget, retain=[retain], enough=float(document_losses(before, holdout).mean()) + 0.2)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_joint_model_forgets_and_stops_when_it_has(models: Models, objective: str) -> None:
    before, model = Teacher(models.joint(models.nodes)), models.joint(models.nodes)
    sides = _sides(models, before)
    steps = unlearn(model, sides, Erasure(objective=objective, steps=40, learning_rate=3e-3))
    assert 0 < steps < 40
    assert document_losses(Teacher(model), sides.forget).mean() > document_losses(before, sides.forget).mean() + 0.1


def test_the_expert_that_knows_the_documents_is_found_and_alone_changes(models: Models) -> None:
    before, mixture = models.mixture(list(models.nodes)), models.mixture(list(models.nodes))
    sides = _sides(models, Teacher(before))
    how = Erasure(objective="gradient-difference", steps=10, learning_rate=1e-2, stop=False)
    owner, share, steps = unlearn_one_expert(mixture, sides, how)
    assert (owner, steps) == (LEAVES, 10)
    assert 0.3 < share <= 1
    forgot = document_losses(Teacher(mixture), sides.forget).mean()
    assert forgot > document_losses(Teacher(before), sides.forget).mean() + 0.1
    # Without it the mixture is what it was: nothing else was trained.
    others = [Teacher(each, ["hospital"]) for each in (before, mixture)]
    first, second = (document_losses(each, sides.retain[0]) for each in others)
    assert first == pytest.approx(second, abs=1e-6)


def test_an_exit_is_as_retrained_and_unlearning_is_not(models: Models) -> None:
    before, never = Teacher(models.mixture(list(models.nodes))), Teacher(models.mixture(models.others))
    anchor = Teacher(models.anchor())
    gone = {BEFORE: before, AFTER: Teacher(before.model, models.others), NEVER_HAD: never}
    exact = compare(models.nodes, gone, anchor, CONFIG)
    assert exact["privacy_leakage"] == 0
    assert (exact["loss_gap"], exact["ks_p"]) == (0, 1)
    assert exact["others_loss"] == exact["retrained/others_loss"]
    unlearned = models.mixture(list(models.nodes))
    how = Erasure(objective="gradient-ascent", steps=20, learning_rate=1e-2, stop=False)
    unlearn_one_expert(unlearned, _sides(models, before), how)
    worse = compare(models.nodes, {**gone, AFTER: Teacher(unlearned)}, anchor, CONFIG)
    assert worse["loss_gap"] > 0.1


def test_slips_are_said_before_anything_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="no options"):
        Unlearning().run(Work(method=Choice(name="exit", options={"steps": 3}), seed=0, folder=tmp_path))
    with pytest.raises(ConfigError, match="gradient-ascent, gradient-difference, npo"):
        Erasure(objective="amnesia").check()


def test_the_suite_is_whole() -> None:
    suite = read_suite("unlearning")
    assert len(suite.config.seeds) == 3
    assert {method.name for method in suite.methods} == set(Unlearning().methods())
