"""The picture of one stream's matrix."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from atoll.continual import StreamMatrix
from atoll.coordinator.stream.drawing import FONT, better, is_dark, new_figure, save, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def heat_map(matrix: StreamMatrix, path: Path, title: str = "") -> Path:
    """R: a row for every stage and for the references that there are, a column for every silo.

    A line divides what was measured before a silo came (above) from what was since (below). What was not measured is
    a dash.

    Args:
        matrix: The stream.
        path: The file, PNG or SVG by its name.
        title: What it is, such as the method; the metric is added.
    """
    names = ["initial model", *(f"{n}: + {', '.join(stage)}" for n, stage in enumerate(matrix.stages, 1))]
    rows = list(matrix.values)
    references = (("own model alone", matrix.local), ("joint training", matrix.joint))
    held = [(name, array) for name, array in references if array is not None]
    figure = new_figure(2.1 + 0.55 * (len(rows) + len(held)), max(8.0, 4.0 + 0.95 * len(matrix.silos)))
    axes = figure.add_subplot()
    _cells(axes, np.array(rows + [array for _, array in held]), "Blues" if matrix.higher_is_better else "YlOrBr")
    _names(axes, names + [name for name, _ in held], matrix.silos)
    edges = np.append(matrix.arrivals, matrix.arrivals[-1]) - 0.5
    axes.step(np.arange(len(edges)) - 0.5, edges, where="post", color="black", linewidth=2.5)
    if held:
        # A gap between the stream and what it is compared with.
        axes.axhline(len(rows) - 0.5, color="white", linewidth=7)
    what = ", ".join(part for part in (title, better(matrix.metric, matrix.higher_is_better)) if part)
    axes.set_title(f"{what}\nbelow the line, the silo had come", size=FONT, loc="left", pad=10, parse_math=False)
    return save(figure, path)


def _cells(axes: "Axes", values: NDArray[np.float64], colours: str) -> None:
    masked = np.ma.masked_invalid(values)
    empty = masked.count() == 0
    image = axes.imshow(masked, cmap=colours, vmin=0 if empty else None, vmax=1 if empty else None, aspect="auto")
    inks = image.to_rgba(masked).tolist()
    for (y, x), value in np.ndenumerate(values):
        label = "–" if math.isnan(value) else f"{value:.3f}" if abs(value) < 100 else f"{value:.3g}"
        axes.text(x, y, label, ha="center", va="center", size=FONT, color="white" if is_dark(inks[y][x]) else "black")
    axes.set_xticks(np.arange(1, values.shape[1]) - 0.5, minor=True)
    axes.set_yticks(np.arange(1, values.shape[0]) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _names(axes: "Axes", rows: Sequence[str], columns: Sequence[str]) -> None:
    axes.set_yticks(range(len(rows)), labels=[short(name, 40) for name in rows], size=FONT, parse_math=False)
    axes.set_xticks(
        range(len(columns)),
        labels=[short(name) for name in columns],
        rotation=35,
        ha="right",
        rotation_mode="anchor",
        size=FONT,
        parse_math=False,
    )
