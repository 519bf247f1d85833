"""Pictures in which methods are compared on one stream. Each writes one file, PNG or SVG by its name.

Over seeds, a line is the mean, a band or bar one standard deviation to either side. A figure that any seed lacks is a
gap.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from atoll.continual import StreamMatrix, accumulated_error, over_stages
from atoll.coordinator.stream.drawing import FONT, better, legend, lines, new_figure, quiet, save, short
from atoll.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Runs = Mapping[str, Sequence[StreamMatrix]]
"""Streams by method, one a seed."""

FORGETTING = {
    "forgetting_max": "best earlier figure minus the last",
    "forgetting_first": "figure on arrival minus the last",
}
"""The variants by key, with what they are."""
_PANEL = 3.6  # inches


def forgetting_over_stages(runs: Runs, path: Path, variant: str = "forgetting_max") -> Path:
    """Forgetting as it was after each stage, and below it the average that it goes with, by method.

    Args:
        runs: Streams of the same stages.
        path: The file.
        variant: ``forgetting_max`` or ``forgetting_first``.

    Raises:
        DataError: an unknown variant, no streams, or streams of different stages or metrics.
    """
    if variant not in FORGETTING:
        raise DataError(f"no forgetting {variant!r}; there are {', '.join(FORGETTING)}")
    matrix = _alike(runs)
    figure = new_figure(7.0)
    above, below = figure.subplots(2, 1, sharex=True)
    stages = np.arange(1, len(matrix.stages) + 1)
    _draw(above, runs, stages, lambda one: [found.figures()[variant] for found in over_stages(one)])
    _draw(below, runs, stages, lambda one: [found.average_final for found in over_stages(one)])
    above.axhline(0, color="black", linewidth=0.8)
    what = f"{variant}: {FORGETTING[variant]} (lower is better)"
    average = f"average over the silos that had come ({'higher' if matrix.higher_is_better else 'lower'} is better)"
    for axes, title in ((above, what), (below, average)):
        axes.set_title(title, size=FONT, loc="left")
        axes.set_ylabel(matrix.metric, size=FONT, parse_math=False)
    below.set_xlabel(f"stage{_bands(runs)}", size=FONT)
    below.set_xticks(stages)
    figure.align_ylabels()
    legend(figure, runs)
    return save(figure, path)


def accuracy_by_silo(runs: Runs, path: Path) -> Path:
    """A panel for every silo: its figure over the stages, with a line where it came, by method.

    Raises:
        DataError: no streams, or streams of different stages or metrics.
    """
    matrix = _alike(runs)
    columns = min(3, len(matrix.silos))
    count = math.ceil(len(matrix.silos) / columns)
    figure = new_figure(1.6 + 2.3 * count, max(6.0, _PANEL * columns))
    panels = figure.subplots(count, columns, sharex=True, sharey=True, squeeze=False).flatten()
    stages = np.arange(len(matrix.stages) + 1)
    for place, silo in enumerate(matrix.silos):
        _draw(panels[place], runs, stages, lambda one, place=place: one.values[:, place].tolist())  # type: ignore[misc]
        panels[place].axvline(matrix.arrivals[place], color="black", linewidth=1, linestyle=":")
        panels[place].set_title(short(silo), size=FONT, loc="left", parse_math=False)
        panels[place].set_xticks(stages)
    for spare in panels[len(matrix.silos) :]:
        spare.remove()
    figure.supylabel(better(matrix.metric, matrix.higher_is_better), size=FONT, parse_math=False)
    figure.supxlabel(f"stage (0: initial model; dotted: the silo comes){_bands(runs)}", size=FONT)
    legend(figure, runs)
    return save(figure, path)


def error_of_first(runs: Runs, path: Path) -> Path:
    """The first silo's figure (the mean of several, where they came together) against the number of later arrivals.

    Raises:
        DataError: no streams, or streams of different stages or metrics.
    """
    matrix = _alike(runs)
    later = np.array([point.later_arrivals for point in accumulated_error(matrix)])
    figure = new_figure(4.8)
    axes = figure.add_subplot()
    _draw(axes, runs, later, lambda one: [point.average for point in accumulated_error(one)])
    axes.set_xticks(later)
    first = short(", ".join(matrix.stages[0]), 60)
    axes.set_title(f"What is left of {first} as others come", size=FONT, loc="left", parse_math=False)
    axes.set_ylabel(better(matrix.metric, matrix.higher_is_better), size=FONT, parse_math=False)
    axes.set_xlabel(f"silos that have come since{_bands(runs)}", size=FONT)
    legend(figure, runs)
    return save(figure, path)


def accuracy_against_cost(
    points: Mapping[str, Sequence[tuple[float, float]]],
    path: Path,
    *,
    cost: str,
    metric: str,
    higher_is_better: bool = True,
) -> Path:
    """Methods by cost and figure, with the Pareto front: those that are better than everything cheaper.

    Args:
        points: Cost and figure by method, one pair a seed.
        path: The file.
        cost: What the cost is and its unit, such as ``training time of one arrival, s``.
        metric: What the figure is.
        higher_is_better: False for a loss.

    Raises:
        DataError: no points, or one that is not finite.
    """
    pairs = {name: np.array(found, dtype=np.float64).reshape(-1, 2) for name, found in points.items()}
    if not pairs or not all(found.size and np.isfinite(found).all() for found in pairs.values()):
        raise DataError("accuracy against cost: every method needs a finite cost and figure, and there must be one")
    figure = new_figure(5.4)
    axes = figure.add_subplot()
    for name, line in lines(pairs).items():
        (x, y), (wide, high) = pairs[name].mean(0), pairs[name].std(0, ddof=min(1, len(pairs[name]) - 1))
        bars = {"xerr": wide, "yerr": high, "capsize": 3.0} if len(pairs[name]) > 1 else {}
        axes.errorbar(x, y, color=line.colour, marker=line.marker, markersize=8, linestyle="none", **bars)
    front = _front(np.array([found.mean(0) for found in pairs.values()]), higher_is_better)
    axes.step(*front.T, where="post", color="#555555", linewidth=1, linestyle="--", zorder=1)
    axes.plot(*front.T, marker="o", markersize=17, linestyle="none", markerfacecolor="none", markeredgecolor="#555555")
    quiet(axes)
    axes.margins(0.08)
    axes.set_xlabel(f"{cost} (lower is better)", size=FONT, parse_math=False)
    axes.set_ylabel(better(metric, higher_is_better), size=FONT, parse_math=False)
    bars_of = "; bars: one standard deviation" if max(map(len, pairs.values())) > 1 else ""
    axes.set_title(f"Ringed: better than everything cheaper{bars_of}", size=FONT, loc="left")
    legend(figure, pairs, joined=False)
    return save(figure, path)


def _front(means: NDArray[np.float64], higher_is_better: bool) -> NDArray[np.float64]:
    """[front, 2], by cost."""
    turned = means[:, 1] if higher_is_better else -means[:, 1]
    order = np.lexsort((-turned, means[:, 0]))
    best = np.maximum.accumulate(np.append(-math.inf, turned[order]))[:-1]
    found: NDArray[np.float64] = means[order[turned[order] > best]]
    return found


def _alike(runs: Runs) -> StreamMatrix:
    """One of the streams, which all are of the same stages."""
    every = [matrix for seeds in runs.values() for matrix in seeds]
    if not every or not all(runs.values()):
        raise DataError("a picture of a stream: every method needs a stream, and there must be a method")
    if odd := [one for one in every if (one.stages, one.metric) != (every[0].stages, every[0].metric)]:
        raise DataError(f"a picture of a stream: {odd[0].metric} over {odd[0].stages} is beside another stream")
    return every[0]


def _draw(
    axes: "Axes", runs: Runs, x: NDArray[np.int64], figures: Callable[[StreamMatrix], Sequence[float | None]]
) -> None:
    for name, line in lines(runs).items():
        found = np.array([figures(matrix) for matrix in runs[name]], dtype=np.float64)
        mean = found.mean(0)
        axes.plot(x, mean, color=line.colour, marker=line.marker, linestyle=line.style, markersize=5, linewidth=1.8)
        if len(found) > 1:
            deviation = found.std(0, ddof=1)
            axes.fill_between(x, mean - deviation, mean + deviation, color=line.colour, alpha=0.15, linewidth=0)
    quiet(axes)


def _bands(runs: Runs) -> str:
    most = max(map(len, runs.values()))
    return f"; bands: one standard deviation over {most} seeds" if most > 1 else ""
