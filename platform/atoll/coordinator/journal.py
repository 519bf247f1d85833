"""The run's journal: what has arrived, so that a run that was cut short does not ask for it again."""

import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any


class Journal:
    """Append-only JSON lines in the run folder, by owner and digest of the work unit, never by the engine's node
    ids.
    """

    def __init__(self, path: Path) -> None:
        """Read what is there; a last line that was cut short is dropped."""
        self._path = path
        self._entries: dict[tuple[str, str, str], dict[str, Any]] = {}
        if path.exists():
            for line in path.read_text("utf-8").splitlines():
                try:
                    entry = json.loads(line)
                    self._entries[entry["event"], entry["owner"], entry["unit"]] = entry["content"]
                except (ValueError, KeyError, TypeError):
                    continue

    def find(self, event: str, owner: str, unit: str) -> dict[str, Any] | None:
        """What was written of this event, owner and unit; ``None`` if nothing."""
        return self._entries.get((event, owner, unit))

    def owners(self, event: str) -> set[str]:
        """Of whom anything of this event was written."""
        return {owner for kind, owner, _ in self._entries if kind == event}

    def lines(self, event: str, *, without: Collection[str]) -> list[str]:
        """What was written of this event, but for some owners, as lines."""
        return [
            _line(kind, owner, unit, content)
            for (kind, owner, unit), content in self._entries.items()
            if kind == event and owner not in without
        ]

    def write(self, event: str, owner: str, unit: str, content: dict[str, Any]) -> None:
        """Write, to disk before returning."""
        line = _line(event, owner, unit, content)
        with self._path.open("a", encoding="utf-8") as handle:
            # A line that a crash cut short must not swallow this one.
            handle.write(("\n" if self._torn() else "") + line + "\n")
            handle.flush()
            os.fsync(handle.fileno())
        self._entries[event, owner, unit] = content

    def _torn(self) -> bool:
        raw = self._path.read_bytes() if self._path.exists() else b""
        return bool(raw) and not raw.endswith(b"\n")


def _line(event: str, owner: str, unit: str, content: dict[str, Any]) -> str:
    return json.dumps({"event": event, "owner": owner, "unit": unit, "content": content}, sort_keys=True)
