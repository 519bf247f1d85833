"""A suite's pictures: the metric by method, matrices, forgetting over stages, curves, and fronts of figure and cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from atoll.benchmarks.suites.outcome import BYTES_MOVED, SECONDS
from atoll.benchmarks.suites.record import Done
from atoll.benchmarks.suites.suite import Suite, slug
from atoll.benchmarks.suites.verdicts import figures
from atoll.continual import StreamMatrix
from atoll.coordinator.stream.drawing import FONT, better, legend, lines, new_figure, quiet, save, short
from atoll.coordinator.stream.figures import (
    accuracy_against_cost,
    accuracy_by_silo,
    error_of_first,
    forgetting_over_stages,
)
from atoll.coordinator.stream.heat_map import heat_map

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COSTS = {SECONDS: "training and integration, s", BYTES_MOVED: "moved between institutions, bytes"}


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Attributes: path: A PNG file. alt: What it shows, for those who do not see it."""

    path: Path
    alt: str


def draw_case(suite: Suite, done: Sequence[Done], case: str, folder: Path) -> list[Picture]:
    """Everything that there is to see of a case."""
    mine = [one for one in done if one.cell.title == case]
    if not mine:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    return [
        *_metric(suite, mine, case, folder),
        *_stages(suite, mine, folder),
        *_matrices(suite, mine, folder),
        *_curves(mine, folder),
        *_fronts(suite, mine, case, folder),
    ]


def _metric(suite: Suite, mine: Sequence[Done], case: str, folder: Path) -> list[Picture]:
    config = suite.config
    found = figures(mine, case, config.metric)
    if not found:
        return []
    figure = new_figure(1.4 + 0.42 * len(found))
    axes = figure.add_subplot()
    for place, (_, values) in enumerate(found.items()):
        known = np.array(list(values.values()))
        wide = known.std(ddof=1) if len(known) > 1 else 0.0
        axes.errorbar(known.mean(), place, xerr=wide, fmt="o", color="#0072b2", markersize=7, capsize=4)
        axes.plot(known, np.full(len(known), place), "|", color="#555555", markersize=12)
    axes.set_yticks(range(len(found)), labels=[short(name) for name in found], size=FONT, parse_math=False)
    axes.invert_yaxis()
    quiet(axes)
    axes.set_xlabel(better(config.metric, suite.higher_is_better), size=FONT, parse_math=False)
    axes.set_title("Dots and bars: mean and standard deviation over seeds; strokes: seeds", size=FONT, loc="left")
    return [
        Picture(path=save(figure, folder / "metric.png"), alt=f"{config.metric} by method, as in the table of methods")
    ]


def _runs(suite: Suite, mine: Sequence[Done]) -> tuple[str, dict[str, list[StreamMatrix]]]:
    """The stream that the suite's metric is of, by method; those without stages are left out."""
    metric = suite.config.metric.rpartition("/")[0]
    runs: dict[str, list[StreamMatrix]] = {}
    for one in mine:
        matrix = one.outcome.streams.get(metric)
        if matrix is not None and np.isfinite(matrix.values[1:]).all():
            runs.setdefault(one.cell.method.title, []).append(matrix)
    return metric, runs


def _stages(suite: Suite, mine: Sequence[Done], folder: Path) -> list[Picture]:
    metric, runs = _runs(suite, mine)
    stages = {matrix.stages for found in runs.values() for matrix in found}
    if len(stages) != 1 or len(next(iter(stages))) < 2:
        return []
    return [
        Picture(path=forgetting_over_stages(runs, folder / "forgetting.png"), alt=f"Forgetting in {metric} by stage"),
        Picture(path=accuracy_by_silo(runs, folder / "silos.png"), alt=f"{metric} of every silo by stage"),
        Picture(path=error_of_first(runs, folder / "first.png"), alt=f"{metric} of the first as others come"),
    ]


def _matrices(suite: Suite, mine: Sequence[Done], folder: Path) -> list[Picture]:
    metric, runs = _runs(suite, mine)
    made = []
    for name, found in runs.items():
        if len({matrix.stages for matrix in found}) > 1:
            continue
        mean = StreamMatrix(
            metric=metric,
            higher_is_better=found[0].higher_is_better,
            stages=found[0].stages,
            values=np.mean([matrix.values for matrix in found], axis=0),
        )
        path = folder / f"matrix-{slug(name)}.png"
        made.append(
            Picture(
                path=heat_map(mean, path, f"{name}, mean of {len(found)}"), alt=f"R[stage, silo] of {name}, {metric}"
            )
        )
    return made


def _curves(mine: Sequence[Done], folder: Path) -> list[Picture]:
    names = sorted({name for one in mine for name in one.outcome.curves})
    made = []
    for name in names:
        along = next(one.outcome.curves[name].along for one in mine if name in one.outcome.curves)
        figure = new_figure(4.8)
        axes = figure.add_subplot()
        found: dict[str, list[tuple[list[float], list[float]]]] = {}
        for one in mine:
            if name in one.outcome.curves:
                curve = one.outcome.curves[name]
                found.setdefault(one.cell.method.title, []).append((curve.x, curve.y))
        _draw_curves(axes, found)
        axes.set_ylabel(name, size=FONT, parse_math=False)
        axes.set_xlabel(f"{along}; bands: one standard deviation over seeds", size=FONT, parse_math=False)
        legend(figure, found)
        path = folder / f"curve-{slug(name)}.png"
        made.append(Picture(path=save(figure, path), alt=f"{name} along {along}, by method"))
    return made


def _draw_curves(axes: "Axes", found: Mapping[str, Sequence[tuple[list[float], list[float]]]]) -> None:
    for name, line in lines(found).items():
        grid = np.array(found[name][0][0])
        # Seeds may have been looked at in other places, as streams of other lengths are.
        every = np.array([np.interp(grid, x, y) for x, y in found[name]])
        mean = every.mean(0)
        axes.plot(grid, mean, color=line.colour, linestyle=line.style, linewidth=1.8)
        marked = np.linspace(0, len(grid) - 1, min(8, len(grid))).round().astype(int)
        axes.plot(grid[marked], mean[marked], color=line.colour, marker=line.marker, linestyle="none", markersize=5)
        if len(every) > 1:
            deviation = every.std(0, ddof=1)
            axes.fill_between(grid, mean - deviation, mean + deviation, color=line.colour, alpha=0.15, linewidth=0)
    quiet(axes)


def _fronts(suite: Suite, mine: Sequence[Done], case: str, folder: Path) -> list[Picture]:
    """The metric against each cost, of the methods that have both."""
    config, made = suite.config, []
    metric = figures(mine, case, config.metric)
    for cost, words in _COSTS.items():
        costs = figures(mine, case, cost)
        points = {
            name: [(costs[name][seed], value) for seed, value in values.items() if seed in costs[name]]
            for name, values in metric.items()
            if name in costs
        }
        points = {name: found for name, found in points.items() if found}
        if len(points) > 1:
            path = accuracy_against_cost(
                points,
                folder / f"front-{cost.replace('_', '-')}.png",
                cost=words,
                metric=config.metric,
                higher_is_better=suite.higher_is_better,
            )
            made.append(Picture(path=path, alt=f"{config.metric} against {words}, by method, with the Pareto front"))
    return made
