"""The report of a stream: pictures, and one HTML page that needs nothing but itself."""

from pathlib import Path

import numpy as np

from atoll.coordinator.report.page import picture_of, rendered, write_page
from atoll.coordinator.report.unlearning import MEANING, asked_about, unlearning_grid
from atoll.coordinator.stream.figures import FORGETTING, accuracy_by_silo, error_of_first, forgetting_over_stages
from atoll.coordinator.stream.heat_map import heat_map
from atoll.coordinator.stream.results import Method, StreamResults
from atoll.coordinator.stream.tables import (
    audit_grid,
    figures_of,
    matrix_grid,
    methods_grid,
    silos_grid,
    stops_cells,
    withdrawal_grid,
    withdrawal_sentences,
)

_SHOWN = {
    "silos": "Lines: the figure of every silo after every stage, by method, as in the tables below.",
    "forgetting": "Lines: forgetting after every stage, and the average that it goes with, by method.",
    "first": "Lines: the figure of the silos of the first stage against the number of later arrivals, by method.",
    "matrix": "Heat map: the figure of every silo after every stage, as in the table of all stages.",
}


def draw(results: StreamResults, folder: Path) -> list[Path]:
    """The stream's pictures as PNG files in ``folder``; those of a single stage have nothing to show over time."""
    folder.mkdir(parents=True, exist_ok=True)
    metric = results.metric
    drawn = [heat_map(results.stream.scores[metric], folder / "matrix.png", results.title)]
    runs = {method.name: [method.scores[metric]] for method in results.methods if _staged(method)}
    if not runs:
        return drawn
    drawn.append(accuracy_by_silo(runs, folder / "silos.png"))
    if len(results.stages) > 1:
        drawn.append(forgetting_over_stages(runs, folder / "forgetting.png"))
        drawn.append(error_of_first(runs, folder / "first.png"))
    return drawn


def write_stream_report(results: StreamResults, figures: list[Path], folder: Path) -> Path:
    """Write ``report.html`` with the pictures in it."""
    gone = results.withdrawal
    scorecard = gone.unlearning if gone else {}
    html = rendered(
        "stream.html.j2",
        results=results,
        methods=methods_grid(results),
        silos=[silos_grid(results, figure) for figure in figures_of(results)],
        matrix=matrix_grid(results.stream, results.metric),
        stops=stops_cells(results),
        audits=audit_grid(results),
        unlearning=unlearning_grid(scorecard),
        unlearning_meaning=MEANING,
        asked_about=asked_about(scorecard),
        withdrawal=None if gone is None else withdrawal_grid(gone, results.metric),
        left=[] if gone is None else withdrawal_sentences(gone),
        forgetting=f"forgetting_max, {FORGETTING['forgetting_max']}",
        pictures={figure.stem: picture_of(figure, _SHOWN.get(figure.stem, "")) for figure in figures},
    )
    return write_page(html, folder)


def _staged(method: Method) -> bool:
    """Whether a method has figures after every stage, as joint training has not; a silo may lack one, or all."""
    measured = np.any([np.isfinite(matrix.values[1:]).any(axis=1) for matrix in method.scores.values()], axis=0)
    return bool(measured.all())
