"""Run a suite's cells: each in a process of its own, several at a time, none twice."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock, current_thread, main_thread

import torch

from atoll.benchmarks.suites.record import SuiteFolder
from atoll.benchmarks.suites.suite import Cell
from atoll.benchmarks.suites.worker import PROGRESS, Job
from atoll.errors import ConfigError
from atoll.federation.exit_reason import tail, why_it_ended

_JOB, _LOG = "job.json", "log.txt"

OnProgress = Callable[[Cell, int, int, str], None]
"""Told a cell, how much of it is done, of how much, and a note."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A cell that failed.

    Attributes:
        cell: Which.
        reason: The last line that it said.
        log: File with all of them.
    """

    cell: Cell
    reason: str
    log: str


def device_of(wanted: str) -> str:
    """``auto`` takes a GPU where there is one.

    Raises:
        ConfigError: there is no such device here.
    """
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=wanted)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device '{wanted}' cannot be used here: {str(error).splitlines()[0]}") from error
    return wanted


def run_cells(
    folder: SuiteFolder,
    *,
    jobs: int,
    device: str,
    on_progress: OnProgress = lambda cell, done, total, note: None,
    on_end: Callable[[Cell], None] = lambda cell: None,
) -> list[Failure]:
    """Run what is not done yet; a failed cell does not stop the others.

    Args:
        folder: Of the suite.
        jobs: Cells at a time; each computes with one thread where there are several.
        device: Of torch.
        on_progress: Listener, called from several threads.
        on_end: Told of every finished cell, in this thread.

    Returns:
        What failed. The same call runs that again.

    Raises:
        KeyboardInterrupt: after Ctrl-C, when all cells have ended.
    """
    open_cells = [cell for cell in folder.suite.cells if not folder.is_done(cell)]
    threads = 1 if jobs > 1 else max(1, torch.get_num_threads())
    running = _Running()
    failures = []
    with ThreadPoolExecutor(jobs) as pool, _stopped_by_ctrl_c(running):
        futures = {
            pool.submit(_run, Job.of(folder, cell, device), folder, cell, threads, running, on_progress): cell
            for cell in open_cells
        }
        try:
            for future in as_completed(futures):
                if (failure := future.result()) is not None:
                    failures.append(failure)
                elif folder.is_done(futures[future]):
                    on_end(futures[future])
        except BaseException:
            running.stop()
            raise
    if running.stopped:
        raise KeyboardInterrupt
    return failures


class _Running:
    """The processes there are, so that none outlives the suite."""

    def __init__(self) -> None:
        self._lock, self.stopped = Lock(), False
        self._processes: list[subprocess.Popen[str]] = []

    def start(self, command: Sequence[str], log: int, threads: int) -> "subprocess.Popen[str] | None":
        """A process; ``None`` when the suite is being stopped."""
        with self._lock:
            if self.stopped:
                return None
            env = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONIOENCODING": "utf-8:backslashreplace"}
            made = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, encoding="utf-8", env=env)
            self._processes.append(made)
            return made

    def stop(self) -> None:
        """End all."""
        with self._lock:
            self.stopped = True
            for process in self._processes:
                process.terminate()


@contextmanager
def _stopped_by_ctrl_c(running: _Running) -> Iterator[None]:
    """Ctrl-C ends the cells and lets this process finish what it is writing: an exception would come anywhere, in the
    middle of a tracking store's transaction too.
    """
    if current_thread() is not main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, lambda *_: running.stop())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _run(
    job: Job, folder: SuiteFolder, cell: Cell, threads: int, running: _Running, on_progress: OnProgress
) -> Failure | None:
    own = folder.of(cell)
    own.mkdir(parents=True, exist_ok=True)
    (own / _JOB).write_text(job.to_json(), encoding="utf-8")
    command = [sys.executable, "-m", "atoll.benchmarks.suites.worker", str(own / _JOB)]
    on_progress(cell, 0, 0, "starting")
    with (own / _LOG).open("w", encoding="utf-8") as log:
        process = running.start(command, log.fileno(), threads)
        if process is None:
            return None
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(PROGRESS):
                done, total, *note = line.removeprefix(PROGRESS).split(maxsplit=2)
                on_progress(cell, int(done), int(total), note[0].strip() if note else "")
            else:
                log.write(line)
                log.flush()  # the process's own errors go to the same file
        code = process.wait()
    if code == 0 and folder.is_done(cell):
        return None
    return Failure(cell=cell, reason=why_it_ended(tail(own / _LOG), code), log=str(own / _LOG))
