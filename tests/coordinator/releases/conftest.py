"""Tiny anchors on disk, experts with random weights, and releases of them."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from atoll.anchors import Anchor
from atoll.coordinator.assemble import assemble
from atoll.experts.card import Consent, ExpertCard
from atoll.experts.package import write_package
from atoll.experts.signing import OwnerKey
from atoll.federation.units import Choice
from atoll.mixture import Descriptor
from atoll.releases.opening import OpenRelease, open_release
from atoll.testing import toy_anchor

OWNERS = ("clinic", "library", "office")
PROJECTIONS = ("gate_proj", "up_proj", "down_proj")
LAYERS, HIDDEN = 3, 16


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ATOLL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def save_anchor(folder: Path, family: Literal["llama", "olmo2"], **form: Any) -> Anchor:
    return toy_anchor(folder, family, layers=LAYERS, seed=3, **form)


def save_expert(
    path: Path,
    anchor: Anchor,
    owner: str,
    kind: str = "ffn",
    layers: Sequence[int] = tuple(range(LAYERS)),
    *,
    learned: bool = False,
    until: str | None = None,
    key: OwnerKey | None = None,
    training: dict[str, str] | None = None,
) -> Path:
    """An expert with random weights; equal arguments give equal weights."""
    generator = torch.Generator().manual_seed(sum(owner.encode()))
    blocks = [f"model.layers.{layer}.mlp" for layer in layers]
    made = _ffn(anchor, blocks, generator, learned) if kind == "ffn" else _lora(anchor, layers, blocks, generator)
    targets, settings, weights, extra = made
    counts = {"train": 8, "validation": 1, "test": 1}
    card = ExpertCard(
        owner=owner,
        domain=f"What a {owner} writes",
        anchor=anchor.digest,
        kind=kind,
        sites=tuple(blocks),
        targets=tuple(targets),
        settings=settings,
        workload="text",
        documents=counts,
        tokens=counts,
        training=training or {},
        metrics={},
        privacy=None,
        licence="CC0-1.0",
        consent=Consent(purposes=("tests",), until=until, statement=""),
    )
    descriptor = Descriptor(
        embedder="anchor-states",
        samples=8,
        tokens=80,
        sites=tuple(blocks),
        mean=torch.randn(len(blocks), HIDDEN, generator=generator),
        variance=torch.rand(len(blocks), HIDDEN, generator=generator) + 0.5,
        unigram=torch.rand(anchor.architecture.vocabulary, generator=generator).softmax(-1),
    )
    signer = key or OwnerKey.generate()
    write_package(path, card=card, weights=weights, descriptor=descriptor, key=signer, extra=extra)
    return path


_Made = tuple[list[str], dict[str, bool | int | float | str], dict[str, Tensor], dict[str, bytes]]


def _ffn(anchor: Anchor, blocks: list[str], generator: torch.Generator, learned: bool) -> _Made:
    names = [f"{block}.{projection}.weight" for block in blocks for projection in PROJECTIONS]
    weights = {name: 0.2 * torch.randn(anchor.shapes[name], generator=generator) for name in names}
    for block in blocks if learned else ():
        weights[f"router.{block}.row"] = torch.randn(HIDDEN, generator=generator)
        weights[f"router.{block}.bias"] = torch.tensor(-0.5)
    return blocks, {"coordinated": learned}, weights, {}


def _lora(anchor: Anchor, layers: Sequence[int], blocks: list[str], generator: torch.Generator) -> _Made:
    rank = 2 + int(torch.randint(3, (), generator=generator))
    targets = [f"{block}.{projection}" for block in blocks for projection in PROJECTIONS]
    weights: dict[str, Tensor] = {}
    for target in targets:
        out, into = anchor.shapes[f"{target}.weight"]
        weights[f"base_model.model.{target}.lora_A.weight"] = torch.randn(rank, into, generator=generator)
        weights[f"base_model.model.{target}.lora_B.weight"] = torch.randn(out, rank, generator=generator)
    adapter = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": rank,
        "lora_alpha": 8.0,
        "target_modules": list(PROJECTIONS),
        "layers_to_transform": list(layers),
    }
    return targets, {"rank": rank, "alpha": 8.0}, weights, {"adapter_config.json": json.dumps(adapter).encode()}


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., OpenRelease]:
    """A release of three owners in ``release``, opened, over an anchor in ``anchor``."""

    def build(
        family: Literal["llama", "olmo2"] = "olmo2",
        kind: str = "ffn",
        layers: Sequence[int] = tuple(range(LAYERS)),
        learned: bool = False,
        integrator: str = "flexolmo",
        router: str = "top-k",
        form: dict[str, Any] | None = None,
        until: dict[str, str] | None = None,
        integrator_options: dict[str, Any] | None = None,
        **options: Any,
    ) -> OpenRelease:
        anchor = save_anchor(tmp_path / "anchor", family, **(form or {}))
        files = []
        for owner in OWNERS:
            ends = (until or {}).get(owner)
            path = tmp_path / f"{owner}.atoll"
            files.append(save_expert(path, anchor, owner, kind, layers, learned=learned, until=ends))
        how, over = Choice(name=integrator, options=integrator_options or {}), Choice(name=router, options=options)
        assemble(files, anchor, tmp_path / "release", integrator=how, router=over, keys={})
        return open_release(tmp_path / "release")

    return build
