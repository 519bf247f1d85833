"""How far work is: bars on a terminal, plain lines in a file or a pipe."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

_STEPS = 10
"""Lines from beginning to end of one thing, beside those for a new note."""


class Shown(Protocol):
    """Shows how far things are; called from any thread."""

    def show(self, name: str, done: int, total: int, note: str = "", *, title: str = "") -> None:
        """Something is further.

        Args:
            name: What.
            done: How much of it.
            total: Of how much; 0 where that is not known.
            note: What is being done.
            title: What it is called; its name where it is empty.
        """

    def end(self, name: str) -> None:
        """It is done, and is shown no more."""


@contextmanager
def shown_progress(console: Console, names: Sequence[str] = (), *, transient: bool = False) -> Iterator[Shown]:
    """Show progress while the block runs.

    Args:
        console: Bars where it is a terminal, lines where it is not.
        names: What is shown from the beginning, as waiting.
        transient: Whether bars go when the block ends.
    """
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = (
        TextColumn("[bold]{task.description:<16}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=transient) as progress:
        bars = _Bars(progress)
        for name in names:
            bars.show(name, 0, 0, "waiting")
        yield bars


class _Bars:
    def __init__(self, progress: Progress) -> None:
        self._progress, self._lock = progress, threading.Lock()
        self._tasks: dict[str, TaskID] = {}

    def show(self, name: str, done: int, total: int, note: str = "", *, title: str = "") -> None:
        with self._lock:
            if name not in self._tasks:
                self._tasks[name] = self._progress.add_task(title or name, total=None, note=note)
            self._progress.update(self._tasks[name], completed=done, total=total or None, note=note)

    def end(self, name: str) -> None:
        with self._lock:
            if name in self._tasks:
                self._progress.remove_task(self._tasks.pop(name))


class _Lines:
    """A line whenever something else is done, and at every tenth of it."""

    def __init__(self, console: Console) -> None:
        self._console, self._lock = console, threading.Lock()
        self._told: dict[str, tuple[str, int]] = {}

    def show(self, name: str, done: int, total: int, note: str = "", *, title: str = "") -> None:
        with self._lock:
            now = (note, done * _STEPS // total if total else -1)
            if self._told.get(name) == now:
                return
            self._told[name] = now
            far = f" {done}/{total}" if total else ""
            self._say(f"{time.strftime('%H:%M:%S')} {title or name}:{f' {note}' if note else ''}{far}")

    def end(self, name: str) -> None:
        with self._lock:
            self._told.pop(name, None)

    def _say(self, line: str) -> None:
        try:
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)
        except (OSError, SystemExit):
            self._console.quiet = True  # nobody reads; this may be a thread that has other work
