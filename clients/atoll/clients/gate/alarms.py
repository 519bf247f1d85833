"""What an owner must look at: written to ``alarms.log`` and to the log once, and shown until a person has seen it."""

import logging
from datetime import UTC, datetime
from pathlib import Path

log = logging.getLogger(__name__)
_MOST = 1000
"""Alarms that wait to be seen: a coordinator that makes up one after the other must not fill the disk."""


class Alarms:
    """A node's ``alarms.log``."""

    def __init__(self, folder: Path) -> None:
        """Of a node's folder."""
        self._path = folder / "alarms.log"

    def ring(self, what: str) -> bool:
        """Write an alarm down; returns whether it is new, which it is once however often it is rung."""
        line = f"ALARM: {what}"
        known = self.entries()
        if any(each.endswith(line) for each in known) or len(known) > _MOST:
            return False
        if len(known) == _MOST:
            line = f"ALARM: {_MOST} alarms wait to be seen; further ones are not written down"
        log.error("%s", line)
        with self._path.open("a", encoding="utf-8") as handle:
            handle.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} {line}\n")
        return True

    def entries(self) -> list[str]:
        """All that was written and not acknowledged, oldest first."""
        return self._path.read_text("utf-8").splitlines() if self._path.exists() else []

    def acknowledge(self) -> int:
        """Move what is there to ``alarms.seen.log``; returns how many lines."""
        entries = self.entries()
        if entries:
            with self._path.with_name("alarms.seen.log").open("a", encoding="utf-8") as handle:
                handle.write("\n".join(entries) + "\n")
            self._path.unlink()
        return len(entries)
