"""One method on one stream of arriving silos: Atoll by ``atoll run``'s own entry, baselines by theirs."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from atoll.benchmarks.arrivals.moved import moved_bytes
from atoll.benchmarks.suites.outcome import BYTES_MOVED, PEAK_MEMORY, SECONDS, Outcome
from atoll.benchmarks.suites.study import Work
from atoll.config import read_config, to_yaml
from atoll.continual.baseline import GROUP
from atoll.coordinator.config import RunConfig
from atoll.coordinator.memory import MemoryWatch
from atoll.coordinator.stream.baselines import run_baselines
from atoll.coordinator.stream.results import ATOLL
from atoll.coordinator.stream.run import execute_stream
from atoll.coordinator.stream.world import world_of
from atoll.coordinator.traffic import TrafficLog
from atoll.errors import ConfigError
from atoll.plugins import load, names
from atoll.workloads.workload import workload_class


def known_methods() -> dict[str, str]:
    """What :func:`run_cell` can run, with a line about each."""
    found = {ATOLL: "an expert a silo, one mixture; options are the run's settings, such as stream.arrival.replay"}
    return found | {name: (load(GROUP, name).__doc__ or "").strip().splitlines()[0] for name in names(GROUP)}


def run_cell(config: RunConfig, work: Work) -> Outcome:
    """The stream under one method.

    Args:
        config: A run with a stream; its output, seed, device and baselines are set here.
        work: The method: ``atoll`` with dotted settings of the run as options, or a registered baseline with its own.

    Raises:
        AtollError: the method cannot be run; what a stream had done is kept in the cell's folder.
    """
    made = replace(
        config,
        output=str((work.folder / "run").absolute()),
        seed=work.seed,
        engine=replace(config.engine, device=work.device, parallel=1),
        stream=replace(config.stream, baselines=[]),
    )
    if work.method.name == ATOLL:
        return _atoll(_overridden(made, work.method.options, work.folder), work)
    return _baseline(made, work)


def _atoll(config: RunConfig, work: Work) -> Outcome:
    config.check()
    outcome = execute_stream(
        config, command="atoll bench run", on_progress=lambda silo, done, total, note: work.tell(done, total, silo)
    )
    results = outcome.results
    if results.failures:
        silo, reason = next(iter(results.failures.items()))
        raise ConfigError(f"silo '{silo}' was left out, so the figures would be of another stream: {reason}")
    moved = sum(item.bytes for item in TrafficLog(outcome.folder / "traffic.jsonl").read())
    return Outcome(
        streams=dict(results.stream.scores),
        costs={
            SECONDS: sum(results.stream.seconds),
            BYTES_MOVED: moved,
            PEAK_MEMORY: results.peak_memory_bytes,
        },
    )


def _baseline(config: RunConfig, work: Work) -> Outcome:
    folder = Path(config.output)
    with MemoryWatch() as memory:
        world = world_of(config, folder)
        found = run_baselines(
            [work.method],
            world,
            folder / "baselines",
            metric=config.stream.metric,
            higher_is_better=workload_class(config.silos[0].data.workload).higher_is_better(config.stream.metric),
            split=config.evaluation.split,
            windows=config.evaluation.windows,
            batch=config.evaluation.batch,
            on_progress=lambda name, done, total: work.tell(done, total, name),
        )[work.method.name]
    costs: dict[str, float] = {SECONDS: sum(found.seconds), PEAK_MEMORY: memory.peak_bytes}
    moved = moved_bytes(load(GROUP, work.method.name), world)
    if moved is not None:
        costs[BYTES_MOVED] = moved
    return Outcome(streams=dict(found.scores), costs=costs)


def _overridden(config: RunConfig, options: Mapping[str, Any], folder: Path) -> RunConfig:
    """The run with other settings, by dotted key; read as ``atoll run`` reads them, with its messages."""
    if not options:
        return config
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "method.yaml"
    path.write_text(to_yaml(config), encoding="utf-8")
    return read_config(RunConfig, path, [f"{key}={_written(value)}" for key, value in options.items()])


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
