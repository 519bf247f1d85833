"""Expert packages with random weights, of any registered kind."""

import hashlib
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from atoll.anchors import Anchor
from atoll.experts.card import Consent, ExpertCard
from atoll.experts.package import ExpertPackage, read_package, write_package
from atoll.experts.signing import OwnerKey
from atoll.mixture import ANCHOR_STATES, Descriptor, ExpertKind
from atoll.plugins import load


def toy_experts(anchor: Anchor, owners: Sequence[str], kind: str = "lora", *, seed: int = 0) -> list[ExpertPackage]:
    """An expert for each owner in every layer, packed, signed, and read back with all checks.

    Args:
        anchor: What they are for.
        owners: Whose.
        kind: A registered expert kind.
        seed: Of weights and descriptors; one owner's do not depend on who else is there.
    """
    made: ExpertKind = load("atoll.experts", kind)()
    blocks = [f"model.layers.{layer}.mlp" for layer in range(anchor.layers)]
    targets, settings = made.example(blocks)
    sites = tuple(site.path for site in made.sites(targets))
    shapes = made.expected_shapes(anchor.shapes, targets, settings)
    experts = []
    for owner in owners:
        generator = _generator(seed, owner)
        weights = {name: 0.3 * torch.randn(shape, generator=generator) for name, shape in sorted(shapes.items())}
        counts = {"train": 8, "validation": 1, "test": 1}
        card = ExpertCard(
            owner=owner,
            domain=f"what {owner} writes",
            anchor=anchor.digest,
            kind=kind,
            sites=sites,
            targets=targets,
            settings=dict(settings),
            workload=anchor.workload,
            documents=counts,
            tokens=counts,
            training={},
            metrics={},
            privacy=None,
            licence="CC0-1.0",
            consent=Consent(purposes=("tests",), until=None, statement=""),
        )
        extra = {"adapter_config.json": _adapter(targets, settings)} if "adapter" in made.weights_file else {}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{owner}.atoll"
            descriptor = toy_descriptor(anchor, sites, owner, seed=seed)
            write_package(path, card=card, weights=weights, descriptor=descriptor, key=OwnerKey.generate(), extra=extra)
            experts.append(read_package(path, trusted=None, anchor=anchor.digest, expected_shapes=shapes))
    return experts


def toy_descriptor(anchor: Anchor, sites: Sequence[str], owner: str, *, seed: int = 0) -> Descriptor:
    """A random domain; it depends on owner and seed alone."""
    generator = _generator(seed, f"{owner}'s domain")
    shape = (len(sites), anchor.hidden_size)
    vocabulary = anchor.architecture.vocabulary
    unigram = (3 * torch.randn(vocabulary, generator=generator)).softmax(0) if vocabulary else None
    return Descriptor(
        embedder=ANCHOR_STATES,
        samples=8,
        tokens=800,
        sites=tuple(sites),
        mean=torch.randn(shape, generator=generator),
        variance=torch.rand(shape, generator=generator) + 0.5,
        unigram=unigram,
    )


def toy_frame(anchor: Anchor, sites: Sequence[str], *, seed: int = 0) -> Descriptor:
    """A random descriptor for the anchor itself, the common frame of reference."""
    return toy_descriptor(anchor, sites, "the anchor", seed=seed)


def _generator(seed: int, what: str) -> torch.Generator:
    digest = hashlib.sha256(f"{seed} {what}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def _adapter(targets: Sequence[str], settings: object) -> bytes:
    assert isinstance(settings, dict)
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": settings["rank"],
        "lora_alpha": settings["alpha"],
        "target_modules": sorted({target.rpartition(".")[2] for target in targets}),
    }
    return json.dumps(config).encode()
