"""What a suite of streams is to show: each line says yes or no by the figures, and which way is better."""

from collections.abc import Sequence

import numpy as np
import pytest

from atoll.benchmarks.stream.targets import verdicts
from atoll.continual import StreamMatrix
from atoll.coordinator.stream.results import Method

JOINT = 0.8


def method(
    name: str, last: Sequence[float], *, first: float, sees: str = "nothing", metric: str = "accuracy@1"
) -> Method:
    """Two stages; silo a had ``first`` when it came."""
    values = np.array([[0.1, 0.1], [first, 0.1], last])
    matrix = StreamMatrix(
        metric=metric,
        higher_is_better=metric != "loss",
        stages=(("a",), ("b",)),
        values=values,
        joint=np.array([JOINT, JOINT]),
    )
    return Method(name=name, sees=sees, bound="", scores={metric: matrix}, seconds=(1.0, 1.0))


def lines(ours: Sequence[float], others: Sequence[float], metric: str = "accuracy@1") -> list[str]:
    seeds = (0.0, 0.001, 0.002)
    methods = {
        "atoll": [method("atoll", [v + s for v in ours], first=ours[0] + 0.001 + s, metric=metric) for s in seeds],
        "no replay": [method("no replay", [0.0, 0.0], first=0.0, metric=metric) for _ in seeds],
        "sequential": [method("sequential", [v + 2 * s for v in others], first=0.75, metric=metric) for s in seeds],
        "fedavg": [method("fedavg", [0.7, 0.7], first=0.75, sees="earlier owners", metric=metric) for _ in seeds],
    }
    return verdicts(methods, metric, ["no replay"])


def test_all_is_well() -> None:
    found = lines([0.79, 0.79], [0.5, 0.7])
    assert [line.split(":")[0] for line in found] == ["yes", "yes", "yes", "yes"]
    assert "98.9% of joint" in found[0]
    assert "sequential's, which sees no old data (95 % interval" in found[3]
    assert not any("no replay" in line or "fedavg's, which sees" in line for line in found)


def test_what_is_missed_is_said() -> None:
    found = lines([0.5, 0.6], [0.749, 0.7])
    assert [line.split(":")[0] for line in found] == ["no", "no", "yes", "no"]


def test_a_loss_is_better_when_it_is_lower() -> None:
    found = lines([0.79, 0.79], [0.9, 0.9], "loss")
    assert found[0].startswith("yes: 101.1%")
    assert found[-1].startswith("yes")
    assert lines([0.9, 0.9], [0.79, 0.79], "loss")[-1].startswith("no")


def test_one_seed_has_no_interval() -> None:
    one = {name: [method(name, [0.7, 0.7], first=0.7)] for name in ("atoll", "sequential")}
    assert verdicts(one, "accuracy@1", [])[-1].endswith("(no interval)")
    with pytest.raises(KeyError):
        verdicts({"sequential": one["sequential"]}, "accuracy@1", [])
