"""Very many very small expert packages on disk, signed and verified like any other, and a ledger that knows them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from atoll.anchors import Anchor
from atoll.experts.adapter import NAME, plain_adapter
from atoll.experts.card import Consent, ExpertCard
from atoll.experts.package import ExpertPackage, write_package
from atoll.experts.signing import OwnerKey
from atoll.ledger import Fact, Ledger, OwnerAdmitted, Released, acceptance
from atoll.mixture import ExpertKind
from atoll.plugins import load
from atoll.releases.release import Release
from atoll.testing import toy_descriptor

_COUNTS = {"train": 8, "validation": 1, "test": 1}


@dataclass(frozen=True, eq=False, slots=True)
class TinyExperts:
    """A kind's smallest experts over an anchor.

    Attributes:
        anchor: What they are for.
        kind: A registered expert kind.
        seed: Of weights and descriptors.
    """

    anchor: Anchor
    kind: str
    seed: int

    def write(self, count: int, folder: Path) -> list[Path]:
        """One package an owner, ``owner-0000.atoll`` and so on."""
        folder.mkdir(parents=True, exist_ok=True)
        return [self._write(place, folder) for place in range(count)]

    def _write(self, place: int, folder: Path) -> Path:
        owner = f"owner-{place:04d}"
        made: ExpertKind = load("atoll.experts", self.kind)()
        targets, settings = made.example([f"model.layers.{layer}.mlp" for layer in range(self.anchor.layers)])
        generator = torch.Generator().manual_seed(self.seed * 100_003 + place)
        shapes = made.expected_shapes(self.anchor.shapes, targets, settings)
        sites = tuple(site.path for site in made.sites(targets))
        card = ExpertCard(
            owner=owner,
            domain=f"what {owner} writes",
            anchor=self.anchor.digest,
            kind=self.kind,
            sites=sites,
            targets=targets,
            settings=dict(settings),
            workload=self.anchor.workload,
            documents=_COUNTS,
            tokens=_COUNTS,
            training={},
            metrics={},
            privacy=None,
            licence="CC0-1.0",
            consent=Consent(purposes=("any",), until=None, statement=""),
        )
        path = folder / f"{owner}.atoll"
        write_package(
            path,
            card=card,
            weights={name: 0.3 * torch.randn(shape, generator=generator) for name, shape in sorted(shapes.items())},
            descriptor=toy_descriptor(self.anchor, sites, owner, seed=self.seed),
            key=OwnerKey.generate(),
            extra={NAME: plain_adapter(targets, settings, generates=True)} if "adapter" in made.weights_file else {},
        )
        return path


def ledger_of(release: Release, experts: Sequence[ExpertPackage], path: Path) -> Ledger:
    """A ledger that begins with the owners of a release, their experts, and the release."""
    ledger = Ledger.open(path)
    ledger.record_all([*_arrivals(release, experts), _released(release)])
    return ledger


def _arrivals(release: Release, experts: Sequence[ExpertPackage]) -> Sequence[Fact]:
    facts: list[Fact] = []
    for member, expert in zip(release.members, experts, strict=True):
        assert expert.signed is not None
        facts.append(OwnerAdmitted(owner=member.owner, domain="tests", public_key=member.public_key))
        facts.append(acceptance(expert.card, expert.signed, member.blob))
    return facts


def _released(release: Release) -> Released:
    return Released(
        number=release.number,
        digest=release.digest,
        guarantee=release.guarantee,
        members=[member.digest for member in release.members],
    )
