"""The world that baselines are run on, what they may spend, and how they are measured."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from atoll.clients.evaluate import Evaluator
from atoll.continual.baseline import World, measure
from atoll.continual.budget import Budget
from atoll.errors import ConfigError, DataError
from atoll.federation.units import Choice, EvaluateUnit, Variant
from atoll.testing import toy_world
from atoll.workloads.workload import Workload


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return toy_world(tmp_path_factory.mktemp("world"))


def test_owners_come_in_order(world: World) -> None:
    assert replace(world, stages=[["yard", "clinic"], ["court"]]).owners == ("yard", "clinic", "court")


def test_a_world_that_cannot_be_is_refused(world: World) -> None:
    with pytest.raises(DataError, match="'moor' arrives, and its data is not there"):
        replace(world, stages=[["clinic"], ["moor"]])
    with pytest.raises(DataError, match="arrives twice"):
        replace(world, stages=[["clinic"], ["clinic"]])
    with pytest.raises(ConfigError, match="steps is 0"):
        replace(world, training=Budget(steps=0))


def test_a_fresh_model_is_open_for_training_and_draws_nothing(world: World) -> None:
    model = world.fresh()
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not any(module.training for module in model.modules())
    assert all(
        torch.equal(one, other) for one, other in zip(model.parameters(), world.fresh().parameters(), strict=True)
    )
    next(model.parameters()).data.zero_()
    assert next(world.fresh().parameters()).abs().sum() > 0


def test_a_batch_is_the_owners_own_batch_of_the_step(world: World) -> None:
    workload = world.workloads["court"]
    wanted = workload.samples("train", workload.batch_indices(3, world.training.batch, world.seed))
    assert torch.equal(world.batch("court", 3).inputs["input_ids"], wanted.inputs["input_ids"])


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"batch": 0}, "stream.budget.batch is 0; it must be at least 1"),
        ({"warmup": -1}, "warmup is -1"),
        ({"replay": -1}, "replay is -1"),
        ({"steps": 4, "rounds": 5}, "rounds is 5 for 4 steps"),
        ({"schedule": "step"}, "schedule is 'step'"),
        ({"learning_rate": 0.0}, "learning_rate is 0"),
        ({"clip": -1.0}, "clip is -1"),
        ({"weight_decay": float("nan")}, "weight_decay is nan"),
    ],
)
def test_a_budget_that_cannot_be_is_refused(wrong: dict[str, Any], told: str) -> None:
    Budget().check()
    with pytest.raises(ConfigError, match=told):
        Budget(**wrong).check()


def test_the_rate_warms_up_and_ends_at_a_tenth() -> None:
    budget = Budget(learning_rate=2.0, warmup=4)
    assert [budget.rate(step, 100) for step in range(5)] == [0.5, 1.0, 1.5, 2.0, 2.0]
    for schedule, middle, end in (("cosine", 1.1, 0.2), ("linear", 1.1, 0.2), ("constant", 2.0, 2.0)):
        one = replace(budget, schedule=schedule)
        assert one.rate(52, 100) == pytest.approx(middle)
        assert one.rate(100, 100) == pytest.approx(end)


@pytest.mark.parametrize("windows", [0, 5])
def test_figures_are_those_that_an_owner_would_find(windows: int, world: World, tmp_path: Path) -> None:
    workload, model = world.workloads["clinic"], world.fresh()
    unit = EvaluateUnit(
        anchor=world.anchor,
        split="test",
        windows=windows,
        batch=4,
        variants=[Variant(name="anchor", members=[], integrator=Choice(name=""), router=Choice(name=""))],
        members=[],
    )
    found = Evaluator(model, None, {}, workload, unit, tmp_path).run("clinic", lambda done, total, note: None)  # type: ignore[arg-type]
    assert measure(model, workload, "test", windows, 3)["loss"] == pytest.approx(found.loss["anchor"], rel=1e-5)


def test_scores_are_means_over_what_is_predicted(world: World) -> None:
    model, scored = world.fresh(), _scored(world.workloads["clinic"])
    whole, parts = (measure(model, scored, "test", 7, batch) for batch in (7, 2))
    assert set(whole) == {"loss", "share"}
    assert whole["share"] == 0.25
    assert parts == pytest.approx(whole, rel=1e-5)


def test_what_cannot_be_measured_is_an_error(world: World) -> None:
    model = world.fresh()
    next(model.parameters()).data.fill_(float("nan"))
    with pytest.raises(DataError, match="cannot be measured"):
        measure(model, world.workloads["clinic"], "test", 2, 2)


def _scored(workload: Workload) -> Workload:
    """With a further score: a quarter for every token that is predicted."""
    scored: Any = copy.copy(workload)
    scored.scores = lambda logits, targets: {"share": 0.25 * int(workload.predicts(targets).sum())}
    found: Workload = scored
    return found
