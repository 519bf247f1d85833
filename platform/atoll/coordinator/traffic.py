"""What crossed between the coordinator and the silos, kept over restarts: what has left a silo has left it for good."""

import json
from dataclasses import asdict
from pathlib import Path

from flwr.app import MessageType

from atoll.federation.embedded import Traffic


class TrafficLog:
    """Append-only, one JSON object a line; a line that a crash cut short is skipped."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, item: Traffic) -> None:
        """Add one message."""
        with self._path.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(asdict(item)) + "\n")

    def read(self) -> list[Traffic]:
        """All of it, from the run's beginning; what every start announces anew is counted once."""
        found: list[Traffic] = []
        announced: set[tuple[str, str]] = set()
        for line in self._path.read_text("utf-8").splitlines() if self._path.exists() else ():
            try:
                item = Traffic(**json.loads(line))
            except (ValueError, TypeError):
                continue
            if item.message_type == MessageType.QUERY:
                if (item.silo, item.direction) in announced:
                    continue
                announced.add((item.silo, item.direction))
            found.append(item)
        return found
