"""One method on one stream, as suites run it."""

from dataclasses import replace
from pathlib import Path

import pytest

from atoll.benchmarks.arrivals.cell import known_methods, run_cell
from atoll.benchmarks.arrivals.moved import moved_bytes
from atoll.benchmarks.suites.study import Work
from atoll.continual.baseline import GROUP
from atoll.coordinator.config import DescriptorConfig, EvaluationConfig, RunConfig, SiloConfig
from atoll.coordinator.stream.config import RefitConfig, StreamConfig
from atoll.coordinator.stream.world import world_of
from atoll.errors import ConfigError
from atoll.experts.arrival_config import ArrivalConfig
from atoll.experts.training import TrainingConfig
from atoll.federation.units import Choice
from atoll.plugins import load, names
from atoll.testing import toy_mobility_anchor
from atoll.workloads.mobility.config import MobilityConfig
from atoll.workloads.mobility.generator_config import GeneratorConfig

CITIES = ("alpha", "beta")


def config(folder: Path) -> RunConfig:
    toy_mobility_anchor(folder / "anchor")
    silos = [
        SiloConfig(
            name=city,
            domain=city,
            data=MobilityConfig(
                format="generated",
                city=city,
                validation=0.2,
                test=0.2,
                generator=GeneratorConfig(users=30, days=3, locations=40, seed=place),
            ),
        )
        for place, city in enumerate(CITIES)
    ]
    return RunConfig(
        anchor=str(folder / "anchor"),
        silos=silos,
        training=TrainingConfig(steps=4, batch=4, evaluate_every=2, patience=0),
        descriptor=DescriptorConfig(counted=0),
        router=Choice(name="mobility"),
        evaluation=EvaluationConfig(windows=8, batch=8, baselines={}),
        stream=StreamConfig(
            stages=[[city] for city in CITIES],
            metric="accuracy@1",
            arrival=ArrivalConfig(budget=8),
            refit=RefitConfig(steps=2, budget=8, batch=4),
            budget=replace(StreamConfig().budget, steps=4, batch=4, rounds=2),
        ),
    )


@pytest.mark.slow
def test_atoll_and_a_baseline_give_the_same_kind_of_outcome(tmp_path: Path) -> None:
    for method in ("atoll", "sequential"):
        work = Work(method=Choice(name=method), seed=1, folder=tmp_path / method)
        found = run_cell(config(tmp_path), work)
        matrix = found.streams["accuracy@1"]
        assert matrix.silos == CITIES
        assert matrix.values.shape == (3, 2)
        assert (matrix.values == matrix.values).all()
        assert found.costs["bytes_moved"] > 0
        assert found.costs["seconds"] > 0
        assert "accuracy@1/forgetting_max" in found.figures()


def test_settings_of_the_run_are_the_options_of_atoll(tmp_path: Path) -> None:
    options = {"stream.arrival.replya": False}
    work = Work(method=Choice(name="atoll", options=options), seed=0, folder=tmp_path / "cell")
    with pytest.raises(ConfigError, match="replya"):
        run_cell(config(tmp_path), work)


def test_every_registered_baseline_is_a_method() -> None:
    assert set(known_methods()) == {"atoll", *names(GROUP)}


def test_bytes_are_counted_by_what_a_method_needs_of_others(tmp_path: Path) -> None:
    world = world_of(config(tmp_path), tmp_path / "run")
    model = sum(value.nbytes for value in world.fresh().state_dict().values())
    assert moved_bytes(load(GROUP, "local"), world) == 0
    assert moved_bytes(load(GROUP, "sequential"), world) == 2 * model * 2
    # Two rounds a stage: one owner in the first, two in the second.
    assert moved_bytes(load(GROUP, "fedavg"), world) == 2 * model * 2 * (1 + 2)
    joint = moved_bytes(load(GROUP, "joint"), world)
    assert joint is not None
    assert joint > 0
    assert moved_bytes(load(GROUP, "class-means"), world) is None
