"""How a node is: whether it is connected, heard from its coordinator lately, and how often it had to begin again."""

import json
import threading
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from atoll.config.decode import decode_json
from atoll.errors import DataError
from atoll.experts.files import write_atomic

FRESH = 120.0
"""Seconds after which a node that has not written how it is does not run, or hangs."""
_FILE = "health.json"


@dataclass(frozen=True, kw_only=True)
class Health:
    """What ``health.json`` in a node's folder says; nothing of it leaves.

    Attributes:
        at: When it was written, seconds since 1970.
        connected: Whether the coordinator can reach the node.
        heard: When the coordinator's last message came; 0 for never.
        reconnects: How often the connection was made anew.
        workers: How often the worker's process was started again after it died.
        trouble: What stands in the way; empty for nothing.
    """

    at: float
    connected: bool = False
    heard: float = 0.0
    reconnects: int = 0
    workers: int = 0
    trouble: str = ""

    @property
    def live(self) -> bool:
        """Whether something still writes this."""
        return time.time() - self.at < FRESH

    @property
    def ready(self) -> bool:
        """Whether the coordinator can reach the node, and nothing stands in the way of its work."""
        return self.live and self.connected and not self.trouble


class HealthMonitor:
    """The writer of it; any thread may note something."""

    def __init__(self, folder: Path) -> None:
        """For a node's folder."""
        self._path, self._lock = folder / _FILE, threading.Lock()
        self._health = Health(at=time.time())
        self._heard = time.monotonic()

    @property
    def health(self) -> Health:
        """As it is now."""
        return self._health

    def note(self, **changes: bool | float | int | str) -> None:
        """Something has changed; or nothing, and the node lives."""
        with self._lock:
            self._health = replace(self._health, at=time.time(), **changes)  # type: ignore[arg-type]
            try:
                write_atomic(self._path, json.dumps(asdict(self._health), indent=2).encode() + b"\n")
            except OSError:
                return  # a full disk is seen where it matters

    def hear(self) -> None:
        """A message of the coordinator has come."""
        self._heard = time.monotonic()
        self.note(connected=True, heard=time.time(), trouble="")

    def silent(self) -> float:
        """Seconds since the last message, or since this was made."""
        return time.monotonic() - self._heard

    def wait_anew(self) -> None:
        """Count the silence from now on."""
        self._heard = time.monotonic()


def read_health(folder: Path) -> Health | None:
    """What a node's folder says; ``None`` where it says nothing that can be read."""
    try:
        health = decode_json((folder / _FILE).read_text("utf-8"), Health, _FILE)
    except (OSError, UnicodeDecodeError, DataError):
        return None
    assert isinstance(health, Health)
    return health
