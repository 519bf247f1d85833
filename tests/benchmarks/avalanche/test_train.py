"""Baselines learn, remember and are measured as they say."""

import copy

import numpy as np
import pytest
import torch
from tests.benchmarks.avalanche.blobs import blobs, model, needs_avalanche
from torch import nn

from atoll.benchmarks.avalanche.baselines import BASELINES
from atoll.benchmarks.avalanche.budget import Budget
from atoll.benchmarks.avalanche.contexts import SCENARIOS, ContextStream, Scenario
from atoll.benchmarks.avalanche.run import Run
from atoll.benchmarks.avalanche.train import run_baseline
from atoll.continual import StreamMatrix
from atoll.errors import ConfigError
from atoll.federation.units import Choice

pytestmark = [needs_avalanche, pytest.mark.slow]

BUDGET = Budget(steps=25, batch=8, learning_rate=0.02)


def trained(name: str, stream: ContextStream, **options: object) -> StreamMatrix:
    run = Run(stream=stream, budget=BUDGET, seed=0)
    return run_baseline(Choice(name=name, options=options), model(stream), run)[0]


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_learns_what_came_last(name: str, scenario: Scenario) -> None:
    if scenario not in BASELINES[name].scenarios:
        pytest.skip("it does not work there")
    gently: dict[str, object] = {"lambda_reg": 0.01} if name == "mas" else {}
    matrix = trained(name, blobs(scenario), **gently)
    assert matrix.values.shape == (3, 2)
    assert matrix.values[-1, -1] > 0.7
    assert np.isnan(matrix.values[1]).all() == BASELINES[name].joint


def test_memory_helps_where_classes_come_apart() -> None:
    stream = blobs("class", classes=8)
    none, rehearsed, joint = (trained(name, stream).values[-1].mean() for name in ("none", "er", "joint"))
    assert none + 0.2 < rehearsed
    assert none + 0.3 < joint


ONLINE = [name for name, known in BASELINES.items() if known.online != "never"]


@pytest.mark.parametrize("name", ONLINE)
def test_online_streams_are_seen_once(name: str) -> None:
    stream = blobs("domain")
    steps: list[int] = []

    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.held = model(stream)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.training and torch.is_grad_enabled():
                steps.append(len(x))
            return torch.as_tensor(self.held(x))

    run = Run(stream=stream, budget=BUDGET, seed=0, chunk=8)
    matrix, _ = run_baseline(Choice(name=name), Counting(), run)
    # 40 samples a context.
    if name in ("none", "joint", "lwf"):
        assert steps == [8] * 10
    if name == "er":
        # The memory is drawn on from the second chunk on.
        assert steps == [8] + [16] * 9
    assert matrix.values[-1, -1] > matrix.values[0, -1] - 0.1


def test_steps_are_the_budget() -> None:
    stream = blobs("task")
    found = []
    for steps in (1, 2):
        learner = model(stream)
        before = copy.deepcopy(learner)
        budget = Budget(steps=steps, batch=8, optimizer="sgd", learning_rate=1e-3)
        run_baseline(Choice(name="none"), learner, Run(stream=stream, budget=budget, seed=0))
        pairs = zip(learner.parameters(), before.parameters(), strict=True)
        found.append(sum(float((a - b).detach().norm()) for a, b in pairs))
    assert found[1] == pytest.approx(2 * found[0], rel=0.5)


def test_the_same_seed_gives_the_same_matrix() -> None:
    stream = blobs("class")
    assert trained("er", stream) == trained("er", stream)


def test_a_strong_hold_on_weights_forgets_less() -> None:
    stream = blobs("domain", classes=6)
    for name, weak, strong in (
        ("ewc", {"ewc_lambda": 0.0}, {"ewc_lambda": 1e4}),
        ("si", {"strength": 0.0}, {"strength": 1e3}),
    ):
        free, held = trained(name, stream, **weak).values, trained(name, stream, **strong).values
        assert np.array_equal(free, trained("none", stream).values)
        assert held[-1, 0] >= free[-1, 0]
        assert not np.array_equal(free, held)


def test_avalanches_own_synaptic_intelligence_does_nothing_on_a_cpu() -> None:
    """Why there is one of our own; when this fails, it may go."""
    from avalanche.training.plugins import SynapticIntelligencePlugin

    linear = nn.Linear(3, 2)
    plugin = SynapticIntelligencePlugin(1.0)
    plugin.create_syn_data(linear, plugin.ewc_data, plugin.syn_data, set())
    plugin.pre_update(linear, plugin.syn_data, set())
    with torch.no_grad():
        linear.weight += 1
    assert torch.equal(plugin.syn_data["old_theta"]["weight"].data, linear.weight.flatten())


def test_a_stream_that_a_baseline_cannot_have() -> None:
    with pytest.raises(ConfigError, match=r"generative-replay.*task-incremental"):
        trained("generative-replay", blobs("task"))
