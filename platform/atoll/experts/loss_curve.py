"""The losses of a training by step: a file of the owner's, beside its checkpoint. It is sent to nobody."""

import json
from pathlib import Path

CURVE = "losses.jsonl"


def append_losses(path: Path, step: int, **losses: float) -> None:
    """Add losses, in nats a unit, at a step; at one that is there already, as after a resume, the later ones count."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"step": step, **losses}) + "\n")


def read_losses(path: Path) -> list[tuple[int, dict[str, float]]]:
    """Losses by name at each step, in order; a line that was cut short is passed over."""
    found: dict[int, dict[str, float]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            losses = json.loads(line)
            step = int(losses.pop("step"))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
        found.setdefault(step, {}).update({name: float(value) for name, value in losses.items()})
    return sorted(found.items())
