"""The pictures of a run."""

import math
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from atoll.coordinator.report.wording import (
    kinds_sent,
    loss_text,
    ordered_models,
    routed_slots,
    share_text,
    size_text,
    size_unit,
    whole_models,
)
from atoll.coordinator.results import ANCHOR, MIXTURE, OWN, WITHOUT, RunResults

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

_WIDTH = 10.0
"""Inches; at 160 dots an inch and a font of 11 points, letters stay readable at half the size."""
_DPI = 160
_FONT = 11
_COLOURS = {ANCHOR: "#999999", OWN: "#e69f00", MIXTURE: "#0072b2"}
_OTHER_COLOURS = ("#56b4e9", "#009e73", "#cc79a7", "#d55e00", "#f0e442")
"""Okabe and Ito's palette, which people with any of the common colour blindnesses tell apart."""


def draw(results: RunResults, folder: Path) -> list[Path]:
    """Draw ``gains.png``, ``losses.png``, ``routing.png`` and ``traffic.png``, less those with nothing to show.

    Args:
        results: Of the run.
        folder: Where to; it is made if it is not there.

    Returns:
        The files, in that order.
    """
    wanted: list[tuple[str, bool, Callable[[RunResults], Figure]]] = [
        ("gains.png", bool(results.measured), _gains),
        ("losses.png", bool(results.measured), _losses),
        ("routing.png", bool(routed_slots(results)), _routing),
        ("traffic.png", any(map(bool, results.left.values())), _traffic),
    ]
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, shown, make in wanted:
        if shown:
            paths.append(folder / name)
            _save(make(results), paths[-1])
    return paths


def _gains(results: RunResults) -> "Figure":
    from matplotlib.patches import Patch

    models, silos = whole_models(results), results.measured
    colours = _colours(models)
    # Bars lie down, so that there is room for long names and for the figures at the bars' ends.
    figure, axes = _figure(1.3 + len(silos) * (0.2 * len(models) + 0.25))
    pitch = 0.84 / len(models)
    for row, silo in enumerate(silos):
        kept = results.share_of_gain.get(silo)
        for place, model in enumerate(models):
            loss = results.losses[silo].get(model, math.nan)
            if not math.isfinite(loss):
                continue
            y = row + (place - (len(models) - 1) / 2) * pitch
            axes.barh(y, loss, height=0.9 * pitch, color=colours[model])
            main = model == MIXTURE and kept is not None
            label = f"{loss_text(loss)}   keeps {share_text(kept)} of its expert's gain" if main else loss_text(loss)
            weight = "bold" if model == MIXTURE else "normal"
            axes.annotate(
                label, (loss, y), xytext=(4, 0), textcoords="offset points", va="center", size=9, weight=weight
            )
    _rows(axes, silos)
    axes.set_ylim(len(silos) - 0.5, -0.5)
    axes.margins(x=0.06)
    axes.set_xlabel(f"test loss, nats a {results.unit} (lower is better)", size=_FONT)
    _only_bars(axes)
    handles = [Patch(color=colours[model], label=_short(model)) for model in models]
    _legend(figure, handles)
    return figure


def _losses(results: RunResults) -> "Figure":
    models, silos = ordered_models(results), results.measured
    values = [[results.losses[silo].get(model, math.nan) for model in models] for silo in silos]
    best = [min((value for value in row if math.isfinite(value)), default=None) for row in values]
    labels = [[loss_text(results.losses[silo].get(model)) for model in models] for silo in silos]
    figure, axes = _heat_map(values, silos, models, labels, "YlOrBr", None)
    for y, row in enumerate(values):
        for x, value in enumerate(row):
            if value == best[y]:
                axes.plot(x, y + 0.34, marker="^", color=axes.texts[y * len(models) + x].get_color(), markersize=5)
                axes.texts[y * len(models) + x].set_fontweight("bold")
    # A gap between what is compared and what is left when an owner may not answer.
    alone = sum(model.startswith(WITHOUT) for model in models)
    if 0 < alone < len(models):
        axes.axvline(len(models) - alone - 0.5, color="white", linewidth=6)
    axes.set_title(
        f"Test loss, nats a {results.unit}; bold with a mark: the lowest on the silo", size=_FONT, loc="left", pad=10
    )
    return figure


def _routing(results: RunResults) -> "Figure":
    slots = routed_slots(results)
    silos = [silo for silo, shares in results.routing.items() if shares]
    values = [[results.routing[silo].get(slot, math.nan) for slot in slots] for silo in silos]
    labels = [[share_text(results.routing[silo].get(slot)) for slot in slots] for silo in silos]
    figure, axes = _heat_map(values, silos, slots, labels, "Blues", (0, 1))
    axes.set_title("Share of the routing weight, by silo (rows) and expert (columns)", size=_FONT, loc="left", pad=10)
    return figure


def _traffic(results: RunResults) -> "Figure":
    from matplotlib.patches import Patch

    left, kinds = results.left, kinds_sent(results)
    totals = {silo: sum(sent.values()) for silo, sent in left.items()}
    unit, of_bytes = size_unit(max(totals.values()))
    colours = _colours(kinds)
    figure, axes = _figure(1.6 + 0.55 * len(left))
    for row, (silo, sent) in enumerate(left.items()):
        begin = 0.0
        for kind in kinds:
            length = sent.get(kind, 0) / of_bytes
            axes.barh(row, length, left=begin, height=0.6, color=colours[kind])
            begin += length
        axes.annotate(
            size_text(totals[silo]), (begin, row), xytext=(4, 0), textcoords="offset points", va="center", size=_FONT
        )
    _rows(axes, list(left))
    axes.set_ylim(len(left) - 0.5, -0.5)
    axes.margins(x=0.12)
    axes.set_xlabel(f"left the silo, {unit}", size=_FONT)
    _only_bars(axes)
    # A kind may be too small to be seen beside the others, so that its sum is said.
    sums = {kind: size_text(sum(sent.get(kind, 0) for sent in left.values())) for kind in kinds}
    _legend(figure, [Patch(color=colours[kind], label=f"{_short(kind)} ({sums[kind]} in all)") for kind in kinds])
    return figure


def _heat_map(
    values: Sequence[Sequence[float]],
    rows: Sequence[str],
    columns: Sequence[str],
    labels: Sequence[Sequence[str]],
    colour_map: str,
    limits: tuple[float, float] | None,
) -> tuple["Figure", "Axes"]:
    """Colours and figures, ``(rows, columns)``; the axes' texts are the cells', row by row."""
    import numpy as np

    figure, axes = _figure(1.9 + 0.6 * len(rows), max(_WIDTH, 2.5 + 0.8 * len(columns)))
    masked = np.ma.masked_invalid(np.asarray(values, dtype=float))
    low, high = limits or (0.0 if masked.count() == 0 else None, 1.0 if masked.count() == 0 else None)
    image = axes.imshow(masked, cmap=colour_map, vmin=low, vmax=high, aspect="auto")
    colours = image.to_rgba(masked)
    for y, row in enumerate(labels):
        for x, label in enumerate(row):
            ink = "white" if _is_dark(colours[y, x]) else "black"
            axes.text(x, y, label, ha="center", va="center", size=_FONT, color=ink)
    axes.set_xticks([x - 0.5 for x in range(1, len(columns))], minor=True)
    axes.set_yticks([y - 0.5 for y in range(1, len(rows))], minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    _rows(axes, rows)
    axes.set_xticks(
        range(len(columns)),
        labels=[_short(column) for column in columns],
        rotation=35,
        ha="right",
        rotation_mode="anchor",
        size=_FONT,
        parse_math=False,
    )
    axes.tick_params(which="both", length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return figure, axes


def _is_dark(colour: Sequence[float]) -> bool:
    """Whether white stands out better than black: relative luminance as WCAG 2 has it; a cell without colour is not."""
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour[:3])
    return bool(colour[3] > 0 and 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.179)


def _figure(height: float, width: float = _WIDTH) -> tuple["Figure", "Axes"]:
    """Without pyplot, which holds on to every figure and picks a window system."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(min(width, 100), min(height, 100)), dpi=_DPI, layout="constrained", facecolor="white")
    return figure, figure.add_subplot()


def _rows(axes: "Axes", names: Sequence[str]) -> None:
    # A name may hold a dollar sign, which is no mathematics here.
    axes.set_yticks(range(len(names)), labels=[_short(name) for name in names], size=_FONT, parse_math=False)


def _only_bars(axes: "Axes") -> None:
    axes.grid(axis="x", color="#dddddd")
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def _legend(figure: "Figure", handles: Sequence["Patch"]) -> None:
    letters = sum(len(str(handle.get_label())) + 7 for handle in handles)
    columns = len(handles) if letters <= 100 else 3
    legend = figure.legend(handles=handles, loc="outside upper left", ncols=columns, frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)
        text.set_fontsize(_FONT)


def _colours(names: Sequence[str]) -> dict[str, str]:
    others = [name for name in names if name not in _COLOURS]
    chosen = {name: _OTHER_COLOURS[place % len(_OTHER_COLOURS)] for place, name in enumerate(others)}
    return chosen | {name: colour for name, colour in _COLOURS.items() if name in names}


def _short(name: str) -> str:
    return name if len(name) <= 30 else f"{name[:29]}…"


def _save(figure: "Figure", path: Path) -> None:
    with warnings.catch_warnings():
        # A letter that the font lacks is drawn as a box; the tables have it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        figure.savefig(path, format="png")
