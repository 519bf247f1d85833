"""``atoll bench run``: cells with progress bars, each tracked as it ends."""

from pathlib import Path

from rich.console import Console

from atoll.benchmarks.suites.record import SuiteFolder
from atoll.benchmarks.suites.run import Failure, device_of, run_cells
from atoll.benchmarks.suites.suite import Cell
from atoll.benchmarks.suites.tracking import is_tracked, suite_tracker, track_cell
from atoll.cli.progress import shown_progress
from atoll.storage.folder_lock import sole_owner


def run_and_track(folder: SuiteFolder, store: Path, *, jobs: int, wanted: str, console: Console) -> list[Failure]:
    """Run what is not done, and log every finished cell, those of earlier calls that were not logged among them.

    Args:
        folder: Of the suite.
        store: Folder of the tracking store.
        jobs: Cells at a time.
        wanted: Device, or ``auto``.
        console: Gets the bars.

    Returns:
        What failed.

    Raises:
        LedgerError: another process runs this suite there.
    """
    device = device_of(wanted)
    folder.path.mkdir(parents=True, exist_ok=True)
    with sole_owner(folder.path / ".lock", folder.path):
        return _run_and_track(folder, store, jobs=jobs, device=device, console=console)


def _run_and_track(folder: SuiteFolder, store: Path, *, jobs: int, device: str, console: Console) -> list[Failure]:
    with suite_tracker(folder, store) as tracker:
        tracker.log_params({"title": folder.suite.config.title, "study": folder.suite.config.study})
        parent = tracker.run_id
        for done in folder.done():
            if not is_tracked(folder, done.cell):
                track_cell(folder, done, parent, store)
        with shown_progress(console) as shown:
            suite = folder.suite

            def further(cell: Cell, done: int, total: int, note: str) -> None:
                shown.show(f"cell {suite.folder(cell)}", done, total, note, title=cell.label)

            def tell() -> None:
                shown.show("suite", sum(map(folder.is_done, suite.cells)), len(suite.cells), "cells", title=suite.name)

            def ended(cell: Cell) -> None:
                shown.end(f"cell {suite.folder(cell)}")
                tell()
                track_cell(folder, folder.read(cell), parent, store)

            tell()
            failures = run_cells(folder, jobs=jobs, device=device, on_progress=further, on_end=ended)
        tracker.log_metrics({"cells-done": len(folder.done()), "cells-failed": len(failures)})
    return failures
