"""A suite in MLflow: one run for the suite, and a run nested under it for every cell."""

import math
from pathlib import Path

from atoll.benchmarks.suites.record import Done, SuiteFolder
from atoll.benchmarks.suites.suite import Cell
from atoll.coordinator.tracking import Tracker

_TRACKED = "tracked"


def suite_tracker(folder: SuiteFolder, store: Path) -> Tracker:
    """The run that the cells are nested under.

    Args:
        folder: Of the suite.
        store: Folder of the tracking store, which suites share.
    """
    return Tracker(folder.path, folder.suite.name, store=store, experiment=_experiment(folder))


def is_tracked(folder: SuiteFolder, cell: Cell) -> bool:
    """Whether a finished cell is in the store."""
    return (folder.of(cell) / _TRACKED).is_file()


def track_cell(folder: SuiteFolder, done: Done, parent: str, store: Path) -> None:
    """Log a cell: settings as parameters, figures, R with its stages as steps, curves with their places as steps.

    A cell that was logged before is logged over; MLflow shows the later values.
    """
    suite, cell = folder.suite, done.cell
    tracker = Tracker(folder.of(cell), cell.label, store=store, experiment=_experiment(folder), parent=parent)
    with tracker:
        tracker.log_params(
            {
                "suite": suite.name,
                "study": suite.config.study,
                "settings": {**suite.config.settings, **cell.case},
                "method": cell.method.name,
                "label": cell.method.title,
                "options": cell.method.options,
                "seed": cell.seed,
            }
        )
        tracker.log_metrics(done.figures)
        for metric, matrix in done.outcome.streams.items():
            rows = [zip(matrix.silos, row, strict=True) for row in matrix.values.tolist()]
            tracker.log_history(
                (stage, {f"R/{metric}/{silo}": value for silo, value in row if math.isfinite(value)})
                for stage, row in enumerate(rows)
            )
        for metric, curve in done.outcome.curves.items():
            points = zip(curve.x, curve.y, strict=True)
            tracker.log_history((round(x), {f"curve/{metric}": y}) for x, y in points)
        tracker.log_tags({name: str(value) for name, value in done.origin.items()})
        tracker.log_artifact(folder.of(cell) / "outcome.json")
    (folder.of(cell) / _TRACKED).touch()


def _experiment(folder: SuiteFolder) -> str:
    return f"bench/{folder.suite.name}"
