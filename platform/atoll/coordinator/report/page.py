"""The report of a run: one HTML page that needs nothing but itself."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from atoll.coordinator.report.conclusions import conclusions
from atoll.coordinator.report.tables import left_grid, loss_grid, routing_grid
from atoll.coordinator.report.unlearning import MEANING, asked_about, unlearning_grid
from atoll.coordinator.report.wording import difference_text, size_text, time_text
from atoll.coordinator.results import RunResults
from atoll.experts.files import write_atomic

_SHOWN = {
    "gains": "Bars: test loss of anchor, own expert, mixture and baselines by silo, and the share of the gain kept.",
    "losses": "Heat map: test loss of every model on every silo, as in the table of losses.",
    "routing": "Heat map: share of the routing weight by silo and expert, as in the table of routing.",
    "traffic": "Bars: bytes that left each silo by what they were, as in the table of what left each silo.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """Attributes: source: A data URI. alt: What it shows, for those who do not see it."""

    source: str
    alt: str


def write_report(results: RunResults, figures: Sequence[Path], folder: Path) -> Path:
    """Write ``report.html``.

    Args:
        results: Of the run.
        figures: PNG files as :func:`atoll.coordinator.report.figures.draw` makes them; they become part of the page.
        folder: Where to; it is made if it is not there.

    Returns:
        The page.

    Raises:
        OSError: a figure cannot be read or the page not written.
    """
    pictures = {figure.stem: picture_of(figure, _SHOWN.get(figure.stem, "")) for figure in figures}
    scorecard = results.withdrawal.unlearning if results.withdrawal else {}
    html = rendered(
        "page.html.j2",
        results=results,
        failed=[silo for silo in results.silos if silo.status != "ok"],
        conclusions=[said.partition(": ")[::2] for said in conclusions(results)],
        losses=loss_grid(results, each_withdrawn=True),
        routing=routing_grid(results),
        left=left_grid(results),
        unlearning=unlearning_grid(scorecard),
        unlearning_meaning=MEANING,
        asked_about=asked_about(scorecard),
        pictures=pictures,
        others=[picture for name, picture in pictures.items() if name not in _SHOWN],
    )
    return write_page(html, folder)


def rendered(template: str | Traversable, **values: Any) -> str:
    """A template with the style that all pages have; nothing in the values is markup.

    Args:
        template: Name of one of this folder, or the file of another.
        values: What it shows.
    """
    environment = Environment(
        loader=FunctionLoader(_ours),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"size": size_text, "time": time_text, "difference": difference_text}
    text = _ours(template) if isinstance(template, str) else template.read_text(encoding="utf-8")
    return environment.from_string(text).render(style=Markup(_ours("page.css")), **values)


def picture_of(path: Path, alt: str) -> Picture:
    """A PNG file as part of a page.

    Args:
        path: The file.
        alt: What it shows, for those who do not see it; its name if empty.
    """
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return Picture(source=f"data:image/png;base64,{data}", alt=alt or f"Figure: {path.stem}")


def write_page(html: str, folder: Path) -> Path:
    """Write ``report.html``; the folder is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "report.html"
    write_atomic(path, html.encode("utf-8"))
    return path


def _ours(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
