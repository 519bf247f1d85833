"""The experts that a node has made, from its folder alone."""

import json
from dataclasses import dataclass
from pathlib import Path

from atoll.anchors.digest import file_sha256
from atoll.coordinator.own_package import own_packages
from atoll.errors import FederationError
from atoll.experts.card import ExpertCard
from atoll.experts.package import verify_package
from atoll.federation.units import TrainReply, TrainUnit

UNIT = "unit.json"
"""Beside a package: the unit that it came of."""


@dataclass(frozen=True, slots=True)
class OwnExpert:
    """An expert that was made here.

    Attributes:
        digest: Of the package.
        blob: Digest of its file.
        package: The file.
        card: Its card.
        unit: How it was trained; ``None`` where that was not kept.
        works: Folders of the units, taken on by the gate, that it came of.
    """

    digest: str
    blob: str
    package: Path
    card: ExpertCard
    unit: TrainUnit | None
    works: tuple[Path, ...]


def own_experts(root: Path) -> list[OwnExpert]:
    """All of them, the latest last.

    Raises:
        PackageError: one is damaged.
    """
    works = _works(root)
    found = []
    for package in sorted(own_packages(root), key=lambda path: path.stat().st_mtime_ns):
        facts = verify_package(package, trusted=None)
        of_it = works.get(facts.digest, [])
        unit = _unit(package, of_it)
        found.append(
            OwnExpert(
                digest=facts.digest,
                blob=f"sha256:{file_sha256(package)}",
                package=package,
                card=facts.card,
                unit=unit,
                works=tuple(of_it),
            )
        )
    return found


def _works(root: Path) -> dict[str, list[Path]]:
    """Folders of training units that are done, by the digest of what came of them."""
    found: dict[str, list[Path]] = {}
    for path in sorted((root / "works").glob("*/reply.json")):
        try:
            result = json.loads(path.read_text("utf-8"))["result"]
            digest = TrainReply.from_json(result).digest
        except (OSError, ValueError, KeyError, FederationError):
            continue  # of an evaluation, or not done
        found.setdefault(digest, []).append(path.parent)
    return found


def _unit(package: Path, works: list[Path]) -> TrainUnit | None:
    kept = package.parent / UNIT
    try:
        if kept.exists():
            return TrainUnit.from_json(kept.read_text("utf-8"))
        for work in works:
            return TrainUnit.from_json(json.loads((work / "work.json").read_text("utf-8"))["what"])
    except (OSError, ValueError, KeyError, FederationError):
        return None
    return None
