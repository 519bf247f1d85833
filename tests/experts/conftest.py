"""A tiny expert of each kind, and its package."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from atoll.experts.card import Consent, ExpertCard
from atoll.experts.package import write_package
from atoll.experts.signing import OwnerKey, Signer
from atoll.mixture.descriptor import Descriptor

ANCHOR = "sha256:" + "ab" * 32


@dataclass(frozen=True, kw_only=True)
class Example:
    """What goes into a package."""

    card: ExpertCard
    weights: Mapping[str, Tensor]
    descriptor: Descriptor
    extra: Mapping[str, bytes] = field(default_factory=dict)

    def write(self, path: Path, key: Signer) -> str:
        return write_package(
            path, card=self.card, weights=self.weights, descriptor=self.descriptor, key=key, extra=self.extra
        )

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(tensor.shape) for name, tensor in self.weights.items()}


def card(**changes: Any) -> ExpertCard:
    """A valid card, with changes."""
    values: dict[str, Any] = {
        "owner": "st-mary",
        "domain": "Diagnoses, in German: Grüße",
        "anchor": ANCHOR,
        "kind": "ffn",
        "sites": ("model.layers.0.mlp",),
        "targets": ("model.layers.0.mlp",),
        "settings": {"coordinated": True},
        "workload": "text",
        "documents": {"train": 8, "validation": 1, "test": 1},
        "tokens": {"train": 800, "validation": 100, "test": 100},
        "training": {"steps": 3, "seed": 0, "learning_rate": 1e-05},
        "metrics": {"validation_loss_anchor": 3.5, "validation_loss_expert": 2.25},
        "privacy": None,
        "licence": "CC-BY-4.0",
        "consent": Consent(purposes=("research",), until="2030-12-31", statement="May be withdrawn at any time."),
    }
    return ExpertCard(**{**values, **changes})


def make_ffn() -> Example:
    generator = torch.Generator().manual_seed(0)
    site = "model.layers.0.mlp"
    sizes = {"gate_proj": (3, 2), "up_proj": (3, 2), "down_proj": (2, 3)}
    weights = {f"{site}.{name}.weight": torch.randn(size, generator=generator) for name, size in sizes.items()}
    weights[f"router.{site}.row"] = torch.randn(2, generator=generator)
    weights[f"router.{site}.bias"] = torch.tensor(-0.5)
    return Example(card=card(), weights=weights, descriptor=describe((site,)))


def make_lora() -> Example:
    target, prefix = "model.layers.0.mlp.up_proj", "base_model.model.model.layers.0.mlp.up_proj"
    adapter = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "auto_mapping": None,
        "base_model_name_or_path": "somewhere/else",
        "r": 1,
        "lora_alpha": 2.0,
        "target_modules": ["up_proj"],
        "modules_to_save": None,
    }
    return Example(
        card=card(
            kind="lora",
            sites=("model.layers.0.mlp",),
            targets=(target,),
            settings={"rank": 1, "alpha": 2.0},
        ),
        weights={f"{prefix}.lora_A.weight": torch.ones(1, 2), f"{prefix}.lora_B.weight": torch.ones(3, 1)},
        descriptor=describe(("model.layers.0.mlp",)),
        extra={"adapter_config.json": json.dumps(adapter).encode()},
    )


def describe(sites: tuple[str, ...]) -> Descriptor:
    return Descriptor(
        embedder="anchor-states",
        samples=4,
        tokens=40,
        sites=sites,
        mean=torch.zeros(len(sites), 2),
        variance=torch.ones(len(sites), 2),
    )


@pytest.fixture(params=["ffn", "lora"])
def example(request: pytest.FixtureRequest) -> Example:
    return make_ffn() if request.param == "ffn" else make_lora()


@pytest.fixture
def ffn() -> Example:
    return make_ffn()


@pytest.fixture
def lora() -> Example:
    return make_lora()


@pytest.fixture(scope="session")
def key() -> OwnerKey:
    return OwnerKey.generate()
