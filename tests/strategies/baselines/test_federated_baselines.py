"""Flower's strategies over the silos that have come."""

import contextlib
import logging
from collections import Counter
from dataclasses import replace

import pytest
from flwr.app import ArrayRecord, MetricRecord, RecordDict
from flwr.serverapp.strategy import FedAvg
from flwr.supercore.task_identity import TaskIdentity
from tests.strategies.baselines.watching import distance, run, same, watched
from torch import Tensor, tensor

from atoll.continual.baseline import World
from atoll.errors import ConfigError
from atoll.strategies.baselines.fedavg import FederatedAveraging
from atoll.strategies.baselines.fedavg_replay import FederatedReplay
from atoll.strategies.baselines.fedprox import FederatedProximal
from atoll.strategies.baselines.grid import InProcessGrid, strategy_here
from atoll.strategies.baselines.local import Local


def test_one_round_of_one_silo_is_that_silo_alone(world: World) -> None:
    world = replace(world, stages=[["clinic"]], training=replace(world.training, rounds=1))
    assert same(run(FederatedAveraging(), world), run(Local(), world))


def test_no_proximal_term_is_plain_averaging(world: World) -> None:
    plain = run(FederatedAveraging(), world)
    assert same(run(FederatedProximal(mu=0.0), world), plain)
    assert not same(run(FederatedProximal(mu=0.1), world), plain)


def test_the_proximal_term_holds_models_near_the_rounds(world: World) -> None:
    start = dict(world.fresh().state_dict())
    moved = [distance(start, run(FederatedProximal(mu=mu), world)[0].weights) for mu in (0.0, 1.0, 100.0)]
    assert moved[0] > moved[1] > moved[2] > 0
    with pytest.raises(ConfigError, match="mu is -1"):
        FederatedProximal(mu=-1)


def test_everyone_who_has_come_takes_a_stages_steps_and_none_twice(world: World) -> None:
    reads: list[tuple[str, tuple[int, ...]]] = []
    budget = replace(world.training, steps=5, rounds=2)
    run(FederatedAveraging(), watched(replace(world, training=budget), reads))
    assert Counter(owner for owner, _ in reads) == {"clinic": 15, "court": 10, "yard": 5}
    workload = world.workloads["clinic"]
    wanted = [tuple(workload.batch_indices(step, budget.batch, world.seed)) for step in range(15)]
    assert [indices for owner, indices in reads if owner == "clinic"] == wanted


def test_earlier_owners_train_on_what_they_kept_and_new_ones_on_all(world: World) -> None:
    reads: list[tuple[str, tuple[int, ...]]] = []
    budget = replace(world.training, steps=5, rounds=2, replay=6)
    run(FederatedReplay(), watched(replace(world, training=budget), reads))
    assert Counter(owner for owner, _ in reads) == {"clinic": 15, "court": 10, "yard": 5}
    clinic = [set(indices) for owner, indices in reads if owner == "clinic"]
    workload = world.workloads["clinic"]
    assert set.union(*clinic[:5]) - set(workload.evaluation_indices("train", 6))
    assert set.union(*clinic[5:10]) == set(workload.evaluation_indices("train", 6))
    assert set.union(*clinic[10:]) == set(workload.evaluation_indices("train", 3))


def test_without_anything_kept_only_new_owners_train(world: World) -> None:
    reads: list[tuple[str, tuple[int, ...]]] = []
    run(FederatedReplay(), watched(replace(world, training=replace(world.training, replay=0)), reads))
    assert Counter(owner for owner, _ in reads) == dict.fromkeys(("clinic", "court", "yard"), world.training.steps)


def test_owners_weigh_by_what_they_have() -> None:
    """Nodes 1 and 2 answer 1 and 4, with 3 and 1 samples: the average is 7 / 4."""

    def train(node: int, sent: RecordDict) -> RecordDict:
        answer = {1: (1.0, 3.0), 2: (4.0, 1.0)}[node]
        assert sent.array_records["arrays"].to_torch_state_dict()["x"].item() == 9
        content = {"arrays": _arrays(tensor(answer[0])), "metrics": MetricRecord({"num-examples": answer[1]})}
        return RecordDict(content)  # type: ignore[arg-type]

    with strategy_here():
        strategy = FedAvg(fraction_evaluate=0.0)
        found = strategy.start(InProcessGrid(2, train), _arrays(tensor(9.0)), num_rounds=1)
    assert found.arrays.to_torch_state_dict()["x"].item() == 1.75


def test_nodes_work_in_the_order_of_their_numbers() -> None:
    asked: list[int] = []

    def train(node: int, sent: RecordDict) -> RecordDict:
        asked.append(node)
        return sent

    grid = InProcessGrid(3, train)
    messages = [grid.create_message(RecordDict(), "train", node, "1") for node in (3, 1, 2)]
    replies = grid.send_and_receive(messages)
    assert asked == [1, 2, 3] == [reply.metadata.src_node_id for reply in replies]
    assert [reply.metadata.reply_to_message_id for reply in replies] == [
        message.metadata.message_id for message in sorted(messages, key=lambda one: one.metadata.dst_node_id)
    ]
    assert grid.get_node_ids() == [1, 2, 3]


def test_what_flower_keeps_of_the_process_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TaskIdentity, "_run_id", None)
    logger = logging.getLogger("flwr")
    level = logger.level
    with contextlib.suppress(KeyError), strategy_here():
        assert TaskIdentity.run_id == 1
        raise KeyError
    assert logger.level == level
    with pytest.raises(RuntimeError, match="not set"):
        _ = TaskIdentity.run_id


def _arrays(value: Tensor) -> ArrayRecord:
    return ArrayRecord({"x": value})
