"""Peak memory of a process and its workers together."""

import os
import threading
from pathlib import Path
from types import TracebackType

_PROC = Path("/proc")


class MemoryWatch:
    """Samples the resident memory of this process and all below it; a context manager.

    Shared pages are counted once for each process, so the figure errs on the high side. Where there is no ``/proc``
    it is zero.
    """

    def __init__(self, every: float = 0.5) -> None:
        self.peak_bytes = 0
        self._every = every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "MemoryWatch":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(self._every):
            self.peak_bytes = max(self.peak_bytes, resident_bytes(os.getpid()))


def resident_bytes(root: int) -> int:
    """Resident memory of a process and its descendants, now."""
    if not _PROC.exists():
        return 0
    parents: dict[int, int] = {}
    pages: dict[int, int] = {}
    for entry in _PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # The name in field 2 may hold spaces and brackets; the rest starts after the last bracket.
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        parents[int(entry.name)] = int(fields[1])
        pages[int(entry.name)] = int(fields[21])
    total = 0
    for process in pages:
        ancestor = process
        while ancestor not in (root, 0) and ancestor in parents:
            ancestor = parents[ancestor]
        if ancestor == root:
            total += pages[process]
    return total * os.sysconf("SC_PAGE_SIZE")
