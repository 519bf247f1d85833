"""Pictures of partitions: who holds how much of which class, and how pictures look at each silo."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from atoll.benchmarks.partitions.partition import Part, Pool
from atoll.coordinator.stream.drawing import FONT, new_figure, save, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BUBBLE = 620.0
"""Square points of the largest."""
_CELL = 0.75  # inches
_COLOUR = "#0072b2"


def class_counts(parts: Sequence[Part], pool: Pool) -> NDArray[np.int64]:
    """Samples of each class in each part, int64 [parts, classes]."""
    return np.array([np.bincount(pool.labels[part.indices], minlength=pool.classes) for part in parts])


def who_holds_what(parts: Sequence[Part], pool: Pool, classes: Sequence[str], path: Path) -> Path:
    """A bubble for every class of every part, whose area is the count; a panel for each silo where stages are several.

    Args:
        parts: Of the pool, by stage.
        pool: The samples.
        classes: Their names.
        path: PNG or SVG.
    """
    counts = class_counts(parts, pool)
    groups = _panels(parts)
    width = 2.2 + 0.3 * max(map(len, classes)) ** 0.5 + _CELL * len(parts) + 0.4 * len(groups)
    figure = new_figure(1.7 + 0.33 * len(classes), max(width, 4.5))
    ratios = [len(places) for places in groups.values()]
    panels = figure.subplots(1, len(groups), sharey=True, squeeze=False, width_ratios=ratios)[0]
    for axes, (title, places) in zip(panels, groups.items(), strict=True):
        axes.set_title(short(title), size=FONT, loc="left", parse_math=False)
        names = [str(parts[place].stage) if title else parts[place].silo for place in places]
        _bubbles(axes, counts[places], counts.max(), names)
        if title:
            axes.set_xlabel("stage", size=FONT)
    panels[0].set_yticks(range(len(classes)), [short(name, 28) for name in classes])
    panels[0].invert_yaxis()
    figure.suptitle(f"Samples by class; the largest bubble is {counts.max():,}", size=FONT, x=0.01, ha="left")
    return save(figure, path)


def how_they_look(
    parts: Sequence[Part], pool: Pool, images: NDArray[np.uint8], path: Path, seed: int = 0, columns: int = 10
) -> Path:
    """A row of pictures for every part, as they look there, the classes in turn.

    Args:
        parts: Of the pool, by stage.
        pool: The samples.
        images: Theirs, uint8 [N, H, W].
        path: PNG or SVG.
        seed: Of the noise.
        columns: Pictures in a row.
    """
    figure = new_figure(0.75 * len(parts) + 0.2, 0.7 * columns + 2.8)
    rows = figure.subplots(len(parts), 1, squeeze=False)[:, 0]
    for axes, part in zip(rows, parts, strict=True):
        seen = part.look.seen(images[_one_of_each(part, pool, columns)], seed)
        axes.imshow(np.concatenate(list(seen), axis=1), cmap="gray", vmin=0, vmax=255)
        stage = f", stage {part.stage}" if parts[-1].stage > 1 else ""
        axes.set_ylabel(f"{part.silo}{stage}\n{part.look}", rotation=0, ha="right", va="center", size=FONT)
        axes.set_xticks([])
        axes.set_yticks([])
    return save(figure, path)


def _panels(parts: Sequence[Part]) -> dict[str, list[int]]:
    """Places of parts by the title of their panel: one without a title, or one for each silo."""
    if all(part.stage == 1 for part in parts):
        return {"": list(range(len(parts)))}
    silos = dict.fromkeys(part.silo for part in parts)
    return {silo: [place for place, part in enumerate(parts) if part.silo == silo] for silo in silos}


def _bubbles(axes: "Axes", counts: NDArray[np.int64], largest: int, names: Sequence[str]) -> None:
    columns, rows = np.indices(counts.shape)
    axes.scatter(columns.ravel(), rows.ravel(), s=_BUBBLE * counts.ravel() / largest, color=_COLOUR, alpha=0.75, lw=0)
    axes.set_xticks(range(len(names)), [f"{name}\n{total:,}" for name, total in zip(names, counts.sum(1), strict=True)])
    axes.set_xlim(-0.7, len(names) - 0.3)
    axes.margins(y=0.06)
    axes.grid(color="#eeeeee")
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=FONT - 2, length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _one_of_each(part: Part, pool: Pool, count: int) -> NDArray[np.int64]:
    """Samples of a part, one of each of its classes, over and over."""
    labels = pool.labels[part.indices]
    queues = [part.indices[labels == label] for label in np.unique(labels)]
    chosen = [
        queues[place % len(queues)][place // len(queues) % len(queues[place % len(queues)])] for place in range(count)
    ]
    return np.array(chosen)
