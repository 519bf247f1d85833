"""What an expert is made in place of: one that had seen records which are to be forgotten."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from atoll.errors import ConfigError
from atoll.experts.files import write_atomic

_FILE = "succession.json"


@dataclass(frozen=True, kw_only=True)
class Succession:
    """A training in place of an earlier one.

    Attributes:
        predecessor: Digest of the earlier expert's package.
        forgotten: How many records of those that it had seen are passed over now.
        step: Step of the earlier training from which this one goes on; 0 to begin anew.
        checkpoint: File with the state at that step; empty to begin anew.
        records: Keyed digests of the records, until they are on the node's list.
    """

    predecessor: str
    forgotten: int
    step: int = 0
    checkpoint: str = ""
    records: list[str] = field(default_factory=list)

    @property
    def identity(self) -> str:
        """What makes it another training; not where a file is."""
        return json.dumps([self.predecessor, self.forgotten, self.step])

    def save(self, folder: Path) -> None:
        """Keep it in a node's folder until the new expert is made."""
        write_atomic(folder / _FILE, json.dumps(asdict(self)).encode(), mode=0o600)


def pending(folder: Path) -> Succession | None:
    """A succession that was begun in a node's folder and not ended; ``None`` where there is none.

    Raises:
        ConfigError: it cannot be read.
    """
    path = folder / _FILE
    if not path.exists():
        return None
    try:
        return Succession(**json.loads(path.read_text("utf-8")))
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}); remove it, and train anew") from error


def ended(folder: Path) -> None:
    """The new expert is made."""
    (folder / _FILE).unlink(missing_ok=True)
