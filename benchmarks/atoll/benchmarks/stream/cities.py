"""Suite ``mobility``: six cities as silos, real tables of locations under generated trajectories."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from atoll.coordinator.config import DescriptorConfig, EvaluationConfig, RunConfig, SiloConfig
from atoll.coordinator.stream.config import StreamConfig
from atoll.errors import ConfigError, DataError
from atoll.experts.training import TrainingConfig
from atoll.federation.node_config import ReplayTerms
from atoll.federation.units import Choice
from atoll.privacy.audit_config import AuditConfig
from atoll.workloads.mobility.config import MobilityConfig
from atoll.workloads.mobility.generator_config import GeneratorConfig

CITIES = ("WashingtonDC", "Atlanta", "LosAngeles", "NewYork", "Seattle", "Chicago")
"""In the order of MoveGCL's example."""
PEOPLE = GeneratorConfig(tastes=3.0, habit=4.0, shift_hours=3.0)
"""Cities differ in what attracts people when as much as any that the anchor was trained on, or more."""
_NAMES = {city: city.lower() for city in CITIES}


def cities(
    folder: Path, seed: int, *, users: int, days: int, steps: int, split: str, count: int = len(CITIES)
) -> RunConfig:
    """The stream in which a city arrives at every stage.

    Args:
        folder: With ``NAME.npy`` for each city.
        seed: Of the people and of training.
        users: People a city.
        days: Days of each.
        steps: Optimizer steps of an arrival, for Atoll and for every baseline.
        split: What is measured.
        count: How many of the cities arrive, in their order.

    Raises:
        ConfigError: fewer cities than two, or more than there are.
        DataError: a table that is not there.
    """
    if not 2 <= count <= len(CITIES):
        raise ConfigError(f"{count} cities: a stream has 2 to {len(CITIES)}")
    silos = []
    for number, city in enumerate(CITIES[:count]):
        table = (folder / f"{city}.npy").absolute()
        if not table.is_file():
            raise DataError(
                f"{table}: there is no such table of locations; say where they are: settings.locations=FOLDER in a "
                "suite, --locations FOLDER elsewhere"
            )
        data = MobilityConfig(
            format="generated",
            locations=str(table),
            city=city,
            validation=0.15,
            test=0.25,
            generator=replace(PEOPLE, seed=1000 * seed + number, users=users, days=days),
        )
        terms = ReplayTerms(tell="counts", smallest=1.0)
        silos.append(SiloConfig(name=_NAMES[city], domain=f"people of {city}", data=data, replay=terms))
    stream = StreamConfig(
        stages=[[silo.name] for silo in silos],
        metric="accuracy@1",
        audit=AuditConfig(samples=0),  # most of a stream's time, and no figure of a suite
    )
    stream = replace(stream, budget=replace(stream.budget, steps=steps, batch=16, learning_rate=1e-3))
    return RunConfig(
        title="Six cities arrive" if count == len(CITIES) else f"{count} cities arrive",
        anchor="atoll-mobility",
        seed=seed,
        silos=silos,
        training=TrainingConfig(steps=steps, batch=16, learning_rate=3e-3, evaluate_every=25, patience=0),
        descriptor=DescriptorConfig(counted=0),
        router=Choice(name="mobility"),
        evaluation=EvaluationConfig(split=split, windows=200, batch=32, baselines={}),
        stream=stream,
    )


BASELINES = ("joint", "sequential", "local", "ewc", "lwf", "generative-replay", "real-replay", "fedavg")


def changed(config: RunConfig, **stream: Any) -> RunConfig:
    """The same with other values of the stream."""
    return replace(config, stream=replace(config.stream, **stream))


def _arrival(**values: Any) -> Any:
    return lambda config: changed(config, arrival=replace(config.stream.arrival, **values))


VARIANTS = {
    "atoll": lambda config: changed(config, baselines=[Choice(name=name) for name in BASELINES]),
    "no distillation": _arrival(distillation="none"),
    "no replay": _arrival(replay=False),
    "mean start": _arrival(start="mean"),
    "progressive": _arrival(progressive=True),
    "no mobility-aware routing": lambda config: replace(
        config, router=Choice(name="mobility", options={"context": False})
    ),
    "uniform top 5": lambda config: changed(
        config, replay=Choice(name="movegcl", options={"sampling": {"uniform_top": 5}})
    ),
    "integration only": lambda config: changed(
        _arrival(replay=False)(config), refit=replace(config.stream.refit, steps=0)
    ),
}
"""The stream with all baselines, then its ablations, each a change of the stream's own settings."""
