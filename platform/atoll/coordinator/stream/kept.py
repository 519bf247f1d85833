"""A finished baseline as it is kept on disk, so that a run that was cut short does not repeat it."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from atoll.config.decode import decode_json
from atoll.continual.baseline import Baseline, World
from atoll.errors import DataError
from atoll.experts.files import write_atomic


@dataclass(frozen=True, kw_only=True)
class KeptBaseline:
    """What one baseline reached.

    Attributes:
        fingerprint: Of all that decides the figures, see :func:`fingerprint`.
        scores: [stages + 1][silos] by name of the figure; ``None`` for what was not measured.
        seconds: Wall time of training by stage.
    """

    fingerprint: str
    scores: dict[str, list[list[float | None]]]
    seconds: list[float]

    def save(self, path: Path) -> None:
        """Write as JSON, whole or not at all."""
        text = json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        write_atomic(path, text.encode())

    @classmethod
    def load(cls, path: Path, fingerprint: str, world: World) -> "KeptBaseline | None":
        """What :meth:`save` wrote; ``None`` where there is nothing, or it is damaged or of something else."""
        try:
            found = decode_json(path.read_text(encoding="utf-8"), cls, path.name)
        except (OSError, UnicodeDecodeError, DataError):
            return None
        assert isinstance(found, cls)
        return found if found.fingerprint == fingerprint and found._fits(world) else None

    def _fits(self, world: World) -> bool:
        stages, silos = len(world.stages), len(world.owners)
        tables = self.scores.values()
        return len(self.seconds) == stages and all(
            len(table) == stages + 1 and all(len(row) == silos for row in table) for table in tables
        )


def fingerprint(baseline: Baseline, world: World, split: str, windows: int) -> str:
    """Hex digest of the method with its options, the stream, anchor, data, budget and seed, and of what is measured.

    The device is left out: figures differ between devices by no more than rounding.
    """
    assert dataclasses.is_dataclass(baseline)
    known = {
        "baseline": baseline.name,
        "options": dataclasses.asdict(baseline),
        "stages": world.stages,
        "anchor": world.anchor,
        "data": {owner: world.workloads[owner].key for owner in world.owners},
        "training": dataclasses.asdict(world.training),
        "seed": world.seed,
        "split": split,
        "windows": windows,
    }
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()
