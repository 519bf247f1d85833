"""The tables of a stream as rows of text, for the page and the terminal alike."""

from collections.abc import Mapping, Sequence

import numpy as np

from atoll.coordinator.report.privacy import privacy_grid
from atoll.coordinator.report.tables import Grid
from atoll.coordinator.report.wording import over_text
from atoll.coordinator.stream.results import Method, StreamResults
from atoll.coordinator.stream.results import Withdrawal as Gone

NOTHING = "–"
_FIGURES = {
    "average_final": "average",
    "share_of_joint": "of joint",
    "forgetting_max": "forgetting (max)",
    "backward_transfer": "BWT",
    "forward_transfer": "FWT",
    "intransigence": "intransigence",
    "knowledge_retention_time": "KR time",
    "knowledge_retention_silos": "KR silos",
}
"""Columns: :class:`atoll.continual.Summary`'s figures, by what they are called in the table."""
_SHARES = ("share_of_joint", "knowledge_retention_time", "knowledge_retention_silos")


def methods_grid(results: StreamResults) -> Grid:
    """Every method's summary by the stream's metric. Forgetting never goes without the average beside it."""
    rows = []
    for method in results.methods:
        found = results.summary(method).figures()
        cells = [_cell(found[name], share=name in _SHARES) for name in _FIGURES]
        rows.append([method.name, method.sees, *cells, f"{np.mean(method.seconds):.1f}" if method.seconds else NOTHING])
    columns = ["method", "sees of others", *_FIGURES.values(), "s an arrival"]
    return Grid(columns=columns, rows=rows, summary=[])


def silos_grid(results: StreamResults, figure: str) -> Grid:
    """One figure after the last stage, by silo and method; a mean says how many silos define it."""
    methods = [method for method in results.methods if figure in method.scores]
    silos = results.stream.scores[figure].silos
    rows = [[silo, *(_cell(_last(method, figure)[place]) for method in methods)] for place, silo in enumerate(silos)]
    mean = ["mean", *(_mean_cell(_last(method, figure)) for method in methods)]
    return Grid(columns=[f"{figure}, silo", *(method.name for method in methods)], rows=rows, summary=mean)


def matrix_grid(method: Method, figure: str) -> Grid:
    """``R[stage, silo]``; stage 0 is the anchor."""
    matrix = method.scores[figure]
    rows = [[str(stage), *(map(_cell, row.tolist()))] for stage, row in enumerate(matrix.values)]
    return Grid(columns=["stage", *matrix.silos], rows=rows, summary=[])


def stops_cells(results: StreamResults) -> list[str]:
    """By stage, after how many steps the router's updates were stopped; nothing at all where that never happened."""
    cells = []
    for stage in results.stages:
        said = [f"{owner} {steps}" for owner, steps in stage.stopped.items()]
        said += [f"fitting {stage.fitting_stopped}"] if stage.fitting_stopped else []
        cells.append(", ".join(said) or NOTHING)
    return cells if any(cell != NOTHING for cell in cells) else []


def audit_grid(results: StreamResults) -> Grid | None:
    """What releases give away, as owners measured it; ``None`` where nobody did."""
    return privacy_grid(results.audits) if results.audits else None


def withdrawal_grid(gone: Gone, figure: str) -> Grid:
    """What the withdrawal changed for every silo."""
    columns = ["silo", f"{figure} before", "without it"] + (["trained anew"] if gone.rebuilt else [])
    states = [gone.before, gone.after] + ([gone.rebuilt] if gone.rebuilt else [])
    rows = [[silo, *(_cell(state.get(silo, {}).get(figure)) for state in states)] for silo in sorted(gone.before)]
    return Grid(columns=columns, rows=rows, summary=[])


def withdrawal_sentences(gone: Gone) -> list[str]:
    """What of an owner remains, honestly."""
    held = ", ".join(map(str, gone.held)) or "none"
    said = [
        f"Release {gone.release} has no expert of {gone.owner}. Earlier releases that hold it: {held}; they answer "
        "without it under an entitlement that leaves it out.",
    ]
    if gone.fitted:
        said.append(
            f"The routers of releases {', '.join(map(str, gone.fitted))} were fitted on synthetic samples of its "
            f"domain. The router of release {gone.release} was fitted anew, from the remaining owners' samples alone."
        )
    if gone.beside:
        others = ", ".join(f"{owner} (stage {stage})" for owner, stage in sorted(gone.beside.items()))
        rest = (
            "They were trained anew without it, see the last column."
            if gone.rebuilt
            else "To train them anew from the release before it came: stream.rebuild=true."
        )
        said.append(
            f"It remains, indirectly, in experts that were trained beside it, on replay of its domain: {others}. {rest}"
        )
    else:
        said.append("No expert that is left was trained beside it.")
    return said


def _last(method: Method, figure: str) -> list[float]:
    return [float(value) for value in method.scores[figure].values[-1]]


def _mean_cell(values: Sequence[float]) -> str:
    known = [value for value in values if np.isfinite(value)]
    return _cell(float(np.mean(known)) if known else None) + over_text(len(known), len(values))


def _cell(value: float | None, *, share: bool = False) -> str:
    if value is None or not np.isfinite(value):
        return NOTHING
    return f"{100 * value:.1f} %" if share else f"{value:.4f}"


def figures_of(results: StreamResults) -> list[str]:
    """Names of the figures, the stream's metric first."""
    names: Mapping[str, object] = results.stream.scores
    return [results.metric, *(name for name in sorted(names) if name != results.metric)]
