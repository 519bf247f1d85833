"""How far a silo's work is, told to whoever runs the engine."""

import json
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """One report.

    Attributes:
        done: Units done.
        total: Units in all; 0 where that is not known.
        note: For people.
        unit: Kind of work, such as ``train``.
    """

    done: int
    total: int
    note: str
    unit: str

    def to_bytes(self) -> bytes:
        """As JSON."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Progress":
        """From JSON."""
        return cls(**json.loads(data))


# Set by the embedded engine's worker for the time of one message; on other engines nobody listens.
LISTENER: ContextVar[Callable[[Progress], None] | None] = ContextVar("atoll_progress", default=None)


def report_progress(done: int, total: int, note: str, unit: str) -> None:
    """Say how far the current work is; without effect where nobody listens."""
    listener = LISTENER.get()
    if listener is not None:
        listener(Progress(done, total, note, unit))
