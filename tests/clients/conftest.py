"""A tiny anchor, and nodes of small silos over it."""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from atoll.anchors import public
from atoll.clients import descriptor
from atoll.clients.node import Node
from atoll.experts.training import ExpertConfig, TrainingConfig
from atoll.federation.units import Choice, TrainUnit
from atoll.testing import toy_anchor
from atoll.workloads.text import Text

LAYERS = 3
WORDS = {
    "clinic": "fever dose chart nurse wound patient ward pulse fracture acute chronic",
    "court": "party clause liable hereby warrant terminate agreement notice damages",
}
Silo = Callable[..., Node]


@pytest.fixture(autouse=True)
def torch_as_it_was() -> Iterator[None]:
    """A node sets what holds for its whole process; here that is the tests' process."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)


@pytest.fixture(scope="session")
def anchor_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An Olmo2 checkpoint of three layers, width 16, that reads bytes."""
    folder = tmp_path_factory.mktemp("anchor") / "tiny"
    toy_anchor(folder, layers=LAYERS, seed=3)
    return folder


@pytest.fixture(autouse=True)
def little_public_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """The anchor's own descriptor from a dozen excerpts: reading them all takes longer than a training here."""
    few = public.public_texts(12)
    for module in (public, descriptor):
        monkeypatch.setattr(module, "public_texts", lambda limit=None: few[:limit])


def documents(owner: str, count: int = 60) -> list[str]:
    """What an owner has: random sentences of its own words, each document with a number of its own."""
    draw = random.Random(owner)
    words = WORDS.get(owner, WORDS["clinic"]).split()
    return [f"{owner} record {number}: " + " ".join(draw.choices(words, k=12)) for number in range(count)]


def write_silo(folder: Path, anchor: Path, owner: str = "clinic", texts: Sequence[str] = (), **changes: Any) -> Path:
    """A node's folder with ``node.yaml`` and the owner's text."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "notes.jsonl").write_text(
        "".join(json.dumps({"text": text}) + "\n" for text in texts or documents(owner)), encoding="utf-8"
    )
    data = {"paths": [str(folder / "notes.jsonl")], "sequence_length": 32, "validation": 0.15, "test": 0.15}
    config: dict[str, Any] = {
        "owner": owner,
        "domain": f"words of a {owner}",
        "data": {**data, **changes.pop("data", {})},
        "anchor": str(anchor),
        "device": "cpu",
        **changes,
    }
    (folder / "node.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return folder


@pytest.fixture
def silo(tmp_path: Path, anchor_folder: Path) -> Silo:
    """Opens a new node: ``silo(folder name, owner=…, texts=…, and settings of node.yaml)``."""
    return lambda name="node", **settings: Node(write_silo(tmp_path / name, anchor_folder, **settings))


def text_of(node: Node) -> Text:
    """The node's data, which here is always text."""
    assert isinstance(node.workload, Text)
    return node.workload


def train_unit(node: Node, kind: str = "lora", **changes: Any) -> TrainUnit:
    """A few steps of training; changes are of the expert, of the training or of the unit."""
    expert = {name: changes.pop(name) for name in list(changes) if name in ExpertConfig.__dataclass_fields__}
    unit = {name: changes.pop(name) for name in list(changes) if name in TrainUnit.__dataclass_fields__}
    training = TrainingConfig(
        steps=6, batch=4, warmup=2, learning_rate=1e-2, evaluate_every=2, checkpoint_every=2, validation_windows=4
    )
    made = TrainUnit(
        anchor=node.anchor.digest,
        expert=replace(ExpertConfig(kind=kind, rank=4, alpha=8.0, coordinated=True), **expert),
        training=replace(training, **changes),
        router=Choice(name="top-k"),
        embedder="anchor-states",
        descriptor_documents=16,
        descriptor_counted=16,
        seed=5,
    )
    return replace(made, **unit)


def quiet(done: int, total: int, note: str) -> None:
    """A report that nobody reads."""
