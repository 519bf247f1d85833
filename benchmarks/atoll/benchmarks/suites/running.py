"""``atoll bench run``: cells with progress bars, each tracked as it ends."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from atoll.benchmarks.suites.record import SuiteFolder
from atoll.benchmarks.suites.run import Failure, device_of, run_cells
from atoll.benchmarks.suites.suite import Cell
from atoll.benchmarks.suites.tracking import is_tracked, suite_tracker, track_cell


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
    """
    device = device_of(wanted)
    with suite_tracker(folder, store) as tracker:
        tracker.log_params({"title": folder.suite.config.title, "study": folder.suite.config.study})
        parent = tracker.run_id
        for done in folder.done():
            if not is_tracked(folder, done.cell):
                track_cell(folder, done, parent, store)
        with _bars(folder, console) as bars:

            def ended(cell: Cell) -> None:
                bars.ended(cell)
                track_cell(folder, folder.read(cell), parent, store)

            failures = run_cells(folder, jobs=jobs, device=device, on_progress=bars.progress, on_end=ended)
        tracker.log_metrics({"cells-done": len(folder.done()), "cells-failed": len(failures)})
    return failures


class _Bars:
    """One bar for the suite, and one for every cell that is being run."""

    def __init__(self, progress: Progress, folder: SuiteFolder) -> None:
        self._progress, self._folder = progress, folder
        cells = folder.suite.cells
        done = sum(map(folder.is_done, cells))
        self._all = progress.add_task(folder.suite.name, total=len(cells), completed=done, note="cells")
        self._tasks: dict[str, TaskID] = {}

    def progress(self, cell: Cell, done: int, total: int, note: str) -> None:
        """A cell is further."""
        name = self._folder.suite.folder(cell)
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(cell.label, total=None, note="")
        self._progress.update(self._tasks[name], completed=done, total=total or None, note=note)

    def ended(self, cell: Cell) -> None:
        """A cell is done."""
        self._progress.remove_task(self._tasks.pop(self._folder.suite.folder(cell)))
        self._progress.advance(self._all)


@contextmanager
def _bars(folder: SuiteFolder, console: Console) -> Iterator[_Bars]:
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        yield _Bars(progress, folder)
