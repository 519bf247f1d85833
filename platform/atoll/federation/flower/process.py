"""A Flower process that we keep: started, watched, ended with us."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from atoll.federation.exit_reason import why_it_ended
from atoll.federation.listening import PARENT
from atoll.federation.proxies import without_proxies

_GRACE = 5.0


class FlowerProcess:
    """One child process; its output goes to a log file."""

    def __init__(self, module: str, arguments: Sequence[str], *, log: Path, environment: Mapping[str, str]) -> None:
        """Start ``python -m module``; it ends when this process does, whatever ends it.

        Args:
            module: Of this package.
            arguments: For it.
            log: Where its output is added.
            environment: Variables beside our own.
        """
        quiet = {
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "FLWR_HOME": str(log.parent / "flwr"),
            "NO_COLOR": "1",
        }
        quiet["PYTHONIOENCODING"] = "utf-8:backslashreplace"  # so that its log is, whatever the locale
        # Pieces of experts come and go through many threads; glibc would keep the memory of each for good.
        quiet |= {"MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": str(1 << 20)}
        command = [sys.executable, "-m", module, *arguments]
        # A few more numbers: an hour of Flower's log is megabytes, and nobody reads what was before the last restart.
        if log.exists() and log.stat().st_size > 1 << 24:
            log.replace(log.with_suffix(".old.log"))
        self.log = log
        self._began = log.stat().st_size if log.exists() else 0
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # What it connects to is on this machine; one that goes elsewhere is told by which proxy.
                env={**without_proxies(os.environ), **quiet, **environment, PARENT: str(os.getpid())},
                start_new_session=True,  # Ctrl-C is for us; we end it in our own time
            )

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def said(self) -> str:
        """What it has written since it was started."""
        with self.log.open("rb") as handle:
            handle.seek(self._began)
            return handle.read().decode("utf-8", errors="replace")

    def why(self) -> str:
        """Why it ended, in one line."""
        return why_it_ended(self.said(), self._process.poll())

    def stop(self) -> None:
        """End it: first by asking."""
        if self.alive:
            self._process.terminate()
            end = time.monotonic() + _GRACE
            while self.alive and time.monotonic() < end:
                time.sleep(0.05)
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def end_with_parent() -> None:
    """In the child: end at once when the process that started us is gone."""
    from flwr.supercore.app_utils import start_parent_process_monitor

    start_parent_process_monitor(int(os.environ[PARENT]))
