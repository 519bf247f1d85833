"""Why a process ended: by its exit code and by what it wrote last."""

import re
import signal
from pathlib import Path

_ERROR = re.compile(r"^[\w.]*(?:Error|Exception|Interrupt)(?::|$)|\[Errno \d+\]|\bERROR\b|\berror:")
_DECORATION = re.compile(r"\x1b\[[0-9;]*m")
_LEVEL = re.compile(r"^(?:\S+ \S+ )?(?:\[?[\d:., TZ/-]*\]?\s*)?(?:ERROR|CRITICAL)\s*:?\s*")
KILLED = f"signal {signal.SIGKILL:d}"
"""Why a process ended that was killed: by somebody, or by the system for want of memory."""
_LONGEST = 400
_TAIL = 64 * 1024


def why_it_ended(said: str, code: int | None) -> str:
    """One line: the last error that a process wrote, or failing that its last line; and a signal by its number.

    Args:
        said: What it wrote.
        code: Its exit code, negative for a signal; ``None`` where it has not ended.
    """
    lines = [_DECORATION.sub("", line).strip() for line in said.splitlines()]
    lines = [line for line in lines if line]
    last = next((line for line in reversed(lines) if _ERROR.search(line)), lines[-1] if lines else "")
    last = _LEVEL.sub("", last)[:_LONGEST].rstrip(".")
    if code is not None and code < 0:
        return KILLED if -code == signal.SIGKILL else f"signal {-code}"
    ended = f"exit code {code}" if code else ""
    return "; ".join(part for part in (last, ended) if part) or "it said nothing"


def tail(log: Path, since: int = 0) -> str:
    """The end of a log, from a byte on; empty where there is none."""
    try:
        with log.open("rb") as handle:
            size = handle.seek(0, 2)
            handle.seek(max(since if since <= size else 0, size - _TAIL))
            return handle.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
