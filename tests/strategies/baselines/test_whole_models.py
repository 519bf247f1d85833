"""Baselines that train one model on one machine."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from tests.strategies.baselines.watching import distance, diverging, run, same, watched
from torch import Tensor, nn

from atoll.continual.baseline import Baseline, World
from atoll.continual.budget import Budget
from atoll.errors import ConfigError, DataError
from atoll.replay.distill import forward_kl
from atoll.strategies.baselines.ewc import Ewc
from atoll.strategies.baselines.fedavg import FederatedAveraging
from atoll.strategies.baselines.fit import fit
from atoll.strategies.baselines.joint import Joint
from atoll.strategies.baselines.local import Local
from atoll.strategies.baselines.lwf import Lwf
from atoll.strategies.baselines.real_replay import RealReplay
from atoll.strategies.baselines.sequential import Sequential


def test_joint_training_and_real_replay_beat_fine_tuning_on_the_first_silo(world: World) -> None:
    world = replace(world, training=Budget(steps=20, batch=8, learning_rate=1e-2, warmup=2, replay=64, rounds=1))
    tuned, joint, replayed = (run(one, world)[-1].losses for one in (Sequential(), Joint(), RealReplay()))
    assert joint["clinic"] < tuned["clinic"] - 0.05
    assert replayed["clinic"] < tuned["clinic"] - 0.05
    assert tuned["yard"] < tuned["clinic"]


def test_silos_of_one_stage_take_turns_and_each_gets_its_steps(world: World) -> None:
    reads: list[tuple[str, tuple[int, ...]]] = []
    run(Sequential(), watched(replace(world, stages=[["clinic"], ["court", "yard"]]), reads))
    steps = world.training.steps
    assert [owner for owner, _ in reads] == ["clinic"] * steps + ["court", "yard"] * steps
    for owner in ("court", "yard"):
        workload, size = world.workloads[owner], world.training.batch
        wanted = [tuple(workload.batch_indices(step, size, world.seed)) for step in range(steps)]
        assert [indices for whose, indices in reads if whose == owner] == wanted


def test_joint_training_takes_the_steps_of_all_arrivals_at_once(world: World) -> None:
    reads: list[tuple[str, tuple[int, ...]]] = []
    (only,) = run(Joint(), watched(world, reads))
    assert only.number == 3
    assert [owner for owner, _ in reads] == ["clinic", "court", "yard"] * world.training.steps


def test_a_silo_alone_does_not_depend_on_the_others(world: World) -> None:
    found = run(Local(), replace(world, stages=[["clinic", "court"], ["yard"]]))
    assert [(one.number, one.owner) for one in found] == [(1, "clinic"), (1, "court"), (2, "yard")]
    for one in found:
        assert one.owner is not None
        assert same([one], run(Local(), replace(world, stages=[[one.owner]])))


@pytest.mark.parametrize("baseline", [Ewc(strength=0.0, samples=2), Lwf(strength=0.0)])
def test_a_penalty_of_nothing_is_fine_tuning(baseline: Baseline, world: World) -> None:
    assert same(run(baseline, world), run(Sequential(), world))


def test_elastic_weights_move_less_the_stronger_they_are_held(world: World) -> None:
    moved = []
    for strength in (0.0, 1e2, 1e5):
        first, second, _ = run(Ewc(strength=strength, samples=8), world)
        moved.append(distance(first.weights, second.weights))
    assert moved[0] > moved[1] > moved[2] > 0


def test_elastic_weights_are_free_where_no_earlier_silo_used_them(world: World) -> None:
    """Rows of tokens that only the second silo has are not in the first silo's text: nothing holds them."""
    first, second, _ = run(Ewc(strength=1e6, samples=64), world)
    ids = {owner: _tokens(world, owner) for owner in ("clinic", "court")}
    new, old = sorted(ids["court"] - ids["clinic"]), sorted(ids["court"] & ids["clinic"])
    assert new
    assert old
    rows = (second.weights["model.embed_tokens.weight"] - first.weights["model.embed_tokens.weight"]).abs().mean(1)
    assert float(rows[new].mean()) > 3 * float(rows[old].mean())


def test_a_decay_of_nothing_holds_the_last_stage_alone(world: World) -> None:
    whole, last = run(Ewc(strength=1e2, samples=8), world), run(Ewc(strength=1e2, decay=0.0, samples=8), world)
    assert same(whole[:2], last[:2])
    assert not same(whole[2:], last[2:])


def test_distillation_keeps_what_the_model_said_before_of_the_new_silos_inputs(world: World) -> None:
    world = replace(world, training=replace(world.training, steps=12, learning_rate=1e-2))
    apart = []
    for strength in (0.0, 1.0, 10.0):
        first, second, _ = run(Lwf(strength=strength), world)
        said = [_logits(world, stage.weights, "court") for stage in (first, second)]
        apart.append(float(forward_kl(said[0], said[1], torch.ones(said[0].shape[:2], dtype=torch.bool))))
    assert 0.9 * apart[0] > apart[1]
    assert 0.9 * apart[1] > apart[2]


@pytest.mark.parametrize("replay", [0, 2, 16])
def test_real_replay_keeps_to_its_budget_whoever_came_before(replay: int, world: World) -> None:
    reads: list[tuple[str, tuple[int, ...]]] = []
    world = replace(world, training=replace(world.training, replay=replay))
    run(RealReplay(), watched(world, reads))
    first, second = world.training.steps, 3 * world.training.steps
    third = reads[second if replay else 2 * first :]
    again = Counter({owner: len({i for whose, few in third if whose == owner for i in few}) for owner in world.owners})
    assert again["clinic"] == again["court"] == replay // 2
    if not replay:
        assert same(run(RealReplay(), world), run(Sequential(), world))


@pytest.mark.parametrize("baseline", [Sequential(), Ewc(samples=1), Lwf(), RealReplay(), FederatedAveraging()])
def test_divergence_names_the_method_and_the_stage(baseline: Baseline, world: World) -> None:
    with pytest.raises(DataError, match=rf"baseline '{baseline.name}', stage 2.*: the loss is nan at step 0; lower"):
        baseline.run(diverging(world, "court"), lambda stage, model, owner=None: None)


def test_what_cannot_be_is_refused() -> None:
    for wrong in ({"strength": -1.0}, {"decay": 1.5}, {"samples": 0}):
        with pytest.raises(ConfigError, match="ewc"):
            Ewc(**wrong)
    with pytest.raises(ConfigError, match="strength"):
        Lwf(strength=-1.0)
    with pytest.raises(ConfigError, match="temperature"):
        Lwf(temperature=0.0)


def test_weight_decay_is_on_matrices_only() -> None:
    model = nn.Linear(2, 2)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    budget = Budget(steps=4, warmup=0, learning_rate=0.1, weight_decay=0.5, schedule="constant", rounds=1)
    fit(model, lambda step: 0 * (model.weight.sum() + model.bias.sum()), 4, budget, "test")
    assert torch.allclose(model.weight, before["weight"] * (1 - 0.1 * 0.5) ** 4)
    assert torch.equal(model.bias, before["bias"])


def test_a_gradient_that_is_not_finite_is_divergence() -> None:
    model = nn.Linear(1, 1)
    steep = [lambda: model.bias.sum(), lambda: (model.bias - model.bias.detach()).sqrt().sum()]
    with pytest.raises(DataError, match="test: the norm of the gradient is inf at step 1"):
        fit(model, lambda step: steep[step](), 2, Budget(rounds=1), "test")


@torch.no_grad()
def _logits(world: World, weights: Mapping[str, Tensor], owner: str) -> Tensor:
    model, workload = world.fresh(), world.workloads[owner]
    model.load_state_dict(weights)
    found: Tensor = model(**workload.samples("test", range(16)).inputs).logits
    return found


def _tokens(world: World, owner: str) -> set[int]:
    workload = world.workloads[owner]
    indices = workload.evaluation_indices("train")
    return set(workload.samples("train", indices).inputs["input_ids"].flatten().tolist())
