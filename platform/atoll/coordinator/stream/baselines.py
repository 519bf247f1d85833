"""Baselines beside a stream: run on one machine, and measured on every silo after every stage."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import cast

import numpy as np
from torch import nn

from atoll.continual import StreamMatrix
from atoll.continual.baseline import GROUP, JOINT, LOCAL, Baseline, World, measure
from atoll.coordinator.stream.kept import KeptBaseline, fingerprint
from atoll.errors import ConfigError, DataError
from atoll.federation.units import Choice
from atoll.plugins import build
from atoll.workloads.workload import Split

OnProgress = Callable[[str, int, int], None]
"""Told a baseline's name, how many of its stages are done, and how many there are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BaselineResults:
    """What one baseline reached.

    Attributes:
        name: As registered.
        sees: What of earlier silos it needs when another comes.
        bound: ``upper``, ``lower`` or empty.
        matrix: Of the stream's metric.
        scores: The same of every figure by name: ``loss``, in nats a unit, and the workload's scores.
        seconds: Wall time of training by stage, measuring left out.
    """

    name: str
    sees: str
    bound: str
    matrix: StreamMatrix
    scores: Mapping[str, StreamMatrix]
    seconds: tuple[float, ...]


def run_baselines(
    choices: Sequence[Choice],
    world: World,
    folder: Path,
    *,
    metric: str = "loss",
    higher_is_better: bool = False,
    split: str = "test",
    windows: int = 0,
    batch: int = 8,
    on_progress: OnProgress = lambda name, done, stages: None,
) -> dict[str, BaselineResults]:
    """Run baselines, and measure each after every stage on the held-out data of every silo, seen and to come.

    Row 0 of a matrix is the anchor, and so is ``initial``. Where every silo has a model of its own, its figures are the
    anchor's before it comes, and its own model's from then on. What trains without stages has its last row only.
    ``joint`` and ``local`` of every matrix are the last rows of the baselines of these names, where they were chosen.

    Args:
        choices: The baselines by name, with their options.
        world: What they are run on.
        folder: Keeps every finished baseline as ``NAME.json``. One that is there for the same options, stages, anchor,
            data, budget, seed, split and windows is not run again.
        metric: Figure of ``matrix``, such as ``accuracy@1``.
        higher_is_better: Of the metric; of the others the workload says it.
        split: What is measured, ``test`` or ``validation``.
        windows: Samples a silo at most, evenly spaced; 0 for all.
        batch: Samples in one forward pass.
        on_progress: Listener.

    Returns:
        Results by name, in the order of the choices.

    Raises:
        PluginError: no such baseline.
        ConfigError: one that is chosen twice, an option that it does not have, a metric that is not measured.
        DataError: training diverged, or a model cannot be measured.
    """
    chosen = _built(choices)
    folder.mkdir(parents=True, exist_ok=True)
    anchor = _Anchor(world, metric, cast(Split, split), windows, batch)
    kept = {name: _once(baseline, anchor, folder / f"{name}.json", on_progress) for name, baseline in chosen.items()}
    better = {"loss": False, metric: higher_is_better}
    plain = {name: _matrices(found, world, better) for name, found in kept.items()}
    for found in plain.values():
        _check_metric(metric, found)
    results = {}
    for name, baseline in chosen.items():
        scores = {figure: _referred(figure, matrix, plain) for figure, matrix in plain[name].items()}
        results[name] = BaselineResults(
            name=name,
            sees=baseline.sees,
            bound=baseline.bound,
            matrix=scores[metric],
            scores=scores,
            seconds=tuple(kept[name].seconds),
        )
    return results


@dataclass(eq=False)
class _Anchor:
    """Where all baselines begin, measured when it is first needed."""

    world: World
    metric: str
    split: Split
    windows: int
    batch: int

    @cached_property
    def scores(self) -> dict[str, dict[str, float]]:
        """By owner."""
        found = self.measured(self.world.fresh(), self.world.owners, "the anchor")
        # At one silo it may be undefined, as an area under a curve is where there is one class only.
        _check_metric(self.metric, {name for figures in found.values() for name in figures})
        return found

    def measured(self, model: nn.Module, owners: Sequence[str], where: str) -> dict[str, dict[str, float]]:
        """Figures of a model by owner."""
        found = {}
        for owner in owners:
            try:
                found[owner] = measure(model, self.world.workloads[owner], self.split, self.windows, self.batch)
            except DataError as error:
                raise DataError(f"{where}, silo '{owner}': {error}") from error
        return found


class _Observer:
    """Measures the models that it is told of."""

    def __init__(self, name: str, anchor: _Anchor, on_progress: OnProgress) -> None:
        self._name, self._anchor, self._on_progress = name, anchor, on_progress
        stages = anchor.world.stages
        self.rows: list[dict[str, dict[str, float]]] = [dict(anchor.scores), *({} for _ in stages)]
        self.seconds = [0.0 for _ in stages]
        self._began = time.perf_counter()

    def __call__(self, stage: int, model: nn.Module, owner: str | None = None) -> None:
        self.seconds[stage - 1] += time.perf_counter() - self._began
        world = self._anchor.world
        found = self._anchor.measured(model, world.owners if owner is None else [owner], self._where(stage))
        if owner is None:
            self.rows[stage] = found
        else:
            for number, row in enumerate(self.rows[1:], 1):
                row[owner] = found[owner] if number >= stage else self.rows[0][owner]
        if owner is None or owner == world.stages[stage - 1][-1]:
            self._on_progress(self._name, stage, len(world.stages))
        self._began = time.perf_counter()

    def _where(self, stage: int) -> str:
        return f"baseline '{self._name}', stage {stage}"


def _once(baseline: Baseline, anchor: _Anchor, path: Path, on_progress: OnProgress) -> KeptBaseline:
    """What is kept of a baseline, after it was run where there is nothing yet, or nothing of this world."""
    world, stages = anchor.world, len(anchor.world.stages)
    known = fingerprint(baseline, world, anchor.split, anchor.windows)
    found = KeptBaseline.load(path, known, world)
    if found is not None:
        on_progress(baseline.name, stages, stages)
        return found
    on_progress(baseline.name, 0, stages)
    observer = _Observer(baseline.name, anchor, on_progress)
    baseline.run(world, observer)
    figures = dict.fromkeys(name for row in observer.rows for one in row.values() for name in one)
    found = KeptBaseline(
        fingerprint=known,
        scores={
            figure: [[row.get(owner, {}).get(figure) for owner in world.owners] for row in observer.rows]
            for figure in figures
        },
        seconds=observer.seconds,
    )
    found.save(path)
    return found


def _built(choices: Sequence[Choice]) -> dict[str, Baseline]:
    found: dict[str, Baseline] = {}
    for choice in choices:
        if choice.name in found:
            raise ConfigError(
                f"baseline '{choice.name}' is chosen twice; choose it once, with the options that it needs"
            )
        found[choice.name] = build(GROUP, choice.name, choice.options)
    return found


def _check_metric(metric: str, figures: Collection[str]) -> None:
    if metric not in figures:
        raise ConfigError(f"baselines: there is no metric '{metric}' here; there are {', '.join(sorted(figures))}")


def _matrices(kept: KeptBaseline, world: World, better: Mapping[str, bool]) -> dict[str, StreamMatrix]:
    """By figure, without what they are held against."""
    workload = next(iter(world.workloads.values()))
    return {
        figure: StreamMatrix(
            metric=figure,
            higher_is_better=better.get(figure, workload.higher_is_better(figure)),
            stages=tuple(map(tuple, world.stages)),
            values=np.array(table, dtype=np.float64),
        )
        for figure, table in kept.scores.items()
    }


def _referred(figure: str, matrix: StreamMatrix, plain: Mapping[str, Mapping[str, StreamMatrix]]) -> StreamMatrix:
    """The matrix with the rows that it is held against."""
    last = {name: plain[name][figure].values[-1] for name in (JOINT, LOCAL) if figure in plain.get(name, {})}
    return replace(matrix, initial=matrix.values[0], joint=last.get(JOINT), local=last.get(LOCAL))
