"""The program's entry: whatever happens, one sentence and an exit code; a traceback only in a file that is named."""

import logging
import os
import platform
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from atoll.cli.output import finish_output, prepare_output
from atoll.errors import MachineError
from atoll.errors.explain import explained
from atoll.federation.proxies import bypass_loopback

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""
INTERNAL = 70
"""Exit code of a fault in Atoll itself: ``EX_SOFTWARE`` of ``sysexits.h``."""


def main() -> None:
    """Run ``atoll`` with the arguments of the command line."""

    def run() -> None:
        # Not above: what fails while it is imported, such as another package's commands, is told as well.
        from atoll.cli.app import app

        app()

    guarded(run)


def guarded(run: Callable[[], object]) -> None:
    """Run a program, and exit as its errors say.

    Raises:
        SystemExit: always, with the code: 0, an error's own, 130 after Ctrl-C, 70 for a fault of ours.
    """
    prepare_output()
    bypass_loopback()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    before, threading.excepthook = threading.excepthook, _thread_failed
    code: str | int | None = 0
    try:
        run()
    except SystemExit as end:
        code = end.code
        if code == INTERRUPTED:  # what Typer makes of Ctrl-C
            _say("interrupted; the same command goes on where this stopped")
    except KeyboardInterrupt:
        code = INTERRUPTED
        _say("interrupted; the same command goes on where this stopped")
    except BrokenPipeError:
        code = 1  # nobody reads any more, as in `atoll … | head`
    except BaseException as error:
        code = _told(error)
    finally:
        threading.excepthook = before
    if (failed := finish_output()) is not None and not code:
        code = _told(MachineError(f"the output cannot be written ({failed.strerror}); the work itself is done"))
    sys.exit(code)


def _told(error: BaseException) -> int:
    ours = explained(error)
    if ours is None:
        _error(f"this is a fault in Atoll itself: {type(error).__name__}: {_first_line(error)}; {_kept(error)}")
        return INTERNAL
    _error(str(ours))
    return ours.exit_code


def _thread_failed(failed: threading.ExceptHookArgs) -> None:
    if failed.exc_value is None or isinstance(failed.exc_value, SystemExit | BrokenPipeError):
        return
    ours = explained(failed.exc_value)
    name = failed.thread.name if failed.thread is not None else "a thread"
    _error(f"{name}: {ours or f'{_first_line(failed.exc_value)}; {_kept(failed.exc_value)}'}")


def _kept(error: BaseException) -> str:
    """Writes the traceback where this user can write; says where."""
    head = f"atoll {_version()}, Python {platform.python_version()}, {platform.platform()}\n{sys.argv}\n\n"
    text = head + "".join(traceback.format_exception(error))
    for folder in _places():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # Only for this user: what an error says can be private.
            handle, name = tempfile.mkstemp(time.strftime("-%Y%m%d-%H%M%S.txt"), "atoll-error-", folder)
            with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
        except (OSError, RuntimeError):
            continue
        return f"the traceback is in {name}: look through it, and send it with a report"
    return "there is no place where its traceback could be written; set TMPDIR to a folder that can be written"


def _places() -> list[Path]:
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    places = [Path(state, "atoll")] if os.path.isabs(state) else []
    try:
        return [*places, Path(tempfile.gettempdir()), Path.cwd()]
    except OSError:  # no such folder can be written, or we stand in one that is gone
        return places


def _version() -> str:
    try:
        return version("atoll")
    except Exception:
        return "of unknown version"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or ["without a message"])[0][:500]


def _error(text: str) -> None:
    from rich.markup import escape

    _say(f"[bold red]error:[/] {escape(text)}")


def _say(markup: str) -> None:
    from rich.console import Console

    try:
        Console(stderr=True).print(markup, highlight=False, soft_wrap=True)
    except (OSError, SystemExit):
        return  # nobody reads it; the exit code says it
