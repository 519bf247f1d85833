"""The look of a stream's pictures: colours, lines and files. Without pyplot, which keeps figures and picks a window."""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from atoll.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Style = tuple[float, tuple[float, ...]] | Literal["-"]
"""Solid, or the offset and the lengths of dashes and gaps."""

WIDTH = 10.0
"""Inches; at 160 dots an inch and a font of 11 points, letters stay readable at half the size."""
FONT = 11
_DPI = 160
_LARGEST = 100.0  # inches
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#000000", "#999999")
"""Okabe and Ito's palette, which people with any of the common colour blindnesses tell apart; yellow is too pale for a
line on white, and grey is in its place."""
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "p")
_STYLES: tuple[Style, ...] = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)), (0, (7, 1.5, 1, 1.5, 1, 1.5)))


@dataclass(frozen=True, slots=True)
class Line:
    """How one method is drawn wherever it appears: neither colour nor marker nor dashes alone carry the meaning."""

    colour: str
    marker: str
    style: Style


def lines(names: Iterable[str]) -> dict[str, Line]:
    """A line for every name; the three parts repeat at different lengths, so that no two are alike."""
    return {
        name: Line(_COLOURS[n % len(_COLOURS)], _MARKERS[n % len(_MARKERS)], _STYLES[n % len(_STYLES)])
        for n, name in enumerate(names)
    }


def new_figure(height: float, width: float = WIDTH) -> "Figure":
    """An empty figure, in inches."""
    from matplotlib.figure import Figure

    size = (min(width, _LARGEST), min(height, _LARGEST))
    return Figure(figsize=size, dpi=_DPI, layout="constrained", facecolor="white")


def quiet(axes: "Axes") -> None:
    """A grid behind the data, and no box around it."""
    axes.grid(color="#dddddd")
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(labelsize=FONT - 1)


def legend(figure: "Figure", names: Iterable[str], *, joined: bool = True) -> None:
    """What stands for which method, above the axes; ``joined`` where points are joined by lines."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=line.colour, marker=line.marker, linestyle=line.style if joined else "none")
        for line in lines(names).values()
    ]
    made = figure.legend(
        handles,
        [short(name) for name in names],
        loc="outside upper left",
        ncols=min(len(handles), 4),
        frameon=False,
        handlelength=3.4 if joined else 1.5,
    )
    for text in made.get_texts():
        # A name may hold a dollar sign, which is no mathematics here.
        text.set_parse_math(False)
        text.set_fontsize(FONT)


def better(metric: str, higher_is_better: bool) -> str:
    """A metric for an axis, with its sense."""
    return f"{metric} ({'higher' if higher_is_better else 'lower'} is better)"


def short(name: str, letters: int = 30) -> str:
    """A name that leaves room for others, on one line."""
    name = " ".join(name.split())
    return name if len(name) <= letters else f"{name[: letters - 1]}…"


def is_dark(colour: Sequence[float]) -> bool:
    """Whether white stands out better than black: relative luminance as WCAG 2 has it; a cell without colour is not."""
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour[:3])
    return bool(colour[3] > 0 and 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.179)


def save(figure: "Figure", path: Path) -> Path:
    """Write a picture, the same bytes for the same figure; its folder is made if it is not there.

    Raises:
        ConfigError: the name ends neither in ``.svg`` nor in ``.png``.
    """
    import matplotlib

    form = path.suffix.removeprefix(".").lower()
    if form not in ("png", "svg"):
        raise ConfigError(f"{path}: pictures are PNG or SVG; end the name in .png or .svg")
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings(), matplotlib.rc_context({"svg.hashsalt": "atoll", "svg.fonttype": "none"}):
        # A letter that the font lacks is drawn as a box; the tables have it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        figure.savefig(path, format=form, metadata={"Date": None} if form == "svg" else None)
    return path
