"""Small silos of real text: few documents, read often, so that a model knows them by heart where it may."""

import json
from pathlib import Path

import numpy as np

from atoll.anchors import cache_root
from atoll.clients.node import Node
from atoll.config import to_yaml
from atoll.demo.silos import write_silos
from atoll.experts.files import write_atomic
from atoll.federation.node_config import NodeConfig
from atoll.workloads.text import TextConfig
from atoll.workloads.text.sources import documents

OWNERS = ("hospital", "law-firm", "library")
LEAVES = "library"
"""Who is to be forgotten."""
_SHORTEST, _LONGEST = 200, 320
"""Characters: about as many tokens as a window has."""
_WINDOW = 64
_VALIDATION, _TEST = 0.12, 0.44


def write_small_silos(folder: Path, seed: int, *, size: int, anchor: str) -> dict[str, Node]:
    """Nodes of three of the demo's institutions by owner, with ``size`` documents each that the seed chooses.

    Args:
        folder: Gets a folder for each.
        seed: Of the choice.
        size: Documents of a silo; about half of them are held out.
        anchor: Of the nodes.

    Raises:
        DataError: a package with text is missing; the message has the command.
    """
    nodes = {}
    for silo in write_silos(cache_root() / "demo"):
        if silo.name not in OWNERS:
            continue
        own = folder / silo.name
        own.mkdir(parents=True, exist_ok=True)
        path = own / "documents.jsonl"
        if not path.exists():
            texts = _beginnings(TextConfig(**silo.text_config()))  # type: ignore[arg-type]
            chosen = np.sort(np.random.default_rng(seed).permutation(len(texts))[:size])
            write_atomic(path, "".join(json.dumps({"text": texts[place]}) + "\n" for place in chosen).encode())
        data = text_config(path)
        config = NodeConfig(owner=silo.name, domain=silo.domain, data=data, anchor=anchor, licence=silo.licence)
        (own / "node.yaml").write_text(to_yaml(config), encoding="utf-8")
        nodes[silo.name] = Node(own.resolve())
    return nodes


def text_config(path: Path) -> TextConfig:
    """How a silo's documents are read."""
    return TextConfig(
        paths=[str(path.resolve())], format="jsonl", sequence_length=_WINDOW, validation=_VALIDATION, test=_TEST
    )


def _beginnings(config: TextConfig) -> list[str]:
    """Distinct beginnings of a source's documents."""
    found = dict.fromkeys(document.text.strip()[:_LONGEST] for document in documents(config))
    return [text for text in found if len(text) >= _SHORTEST]
