"""One demo silo with canaries among the words of its training documents."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atoll.anchors.cache import cache_root
from atoll.config import to_yaml
from atoll.demo.silos import write_silos
from atoll.federation.node_config import NodeConfig
from atoll.privacy.canaries import Tokens, plant
from atoll.workloads.text import TextConfig
from atoll.workloads.text.sources import documents
from atoll.workloads.text.split import split_of

_FILLER = " end"
_VALIDATION = 0.1
_WINDOW = 128


@dataclass(frozen=True, kw_only=True)
class Planting:
    """What is planted: words of the documents in random order.

    Attributes:
        canaries: How many.
        repeats: Copies of each, in different documents.
        words: Of each.
        candidates: Others of the same make, planted nowhere.
    """

    canaries: int = 16
    repeats: int = 4
    words: int = 32
    candidates: int = 127


@dataclass(frozen=True, eq=False, slots=True)
class Secrets:
    """Canaries as text.

    Attributes:
        planted: Those in the training documents.
        candidates: Those that are nowhere.
    """

    planted: list[str]
    candidates: list[str]


def write_silo(folder: Path, silo: str, planting: Planting, *, train: float, seed: int) -> Secrets:
    """Write a node's folder with a demo silo's documents and canaries.

    Args:
        folder: The node's.
        silo: Name of the demo silo.
        planting: The canaries.
        train: Share of the documents that is trained on; a tenth is for validation, the rest is held out.
        seed: Of the canaries.
    """
    found = next(each for each in write_silos(cache_root() / "demo") if each.name == silo)
    source = TextConfig(**found.text_config())  # type: ignore[arg-type]
    texts = [document.text for document in documents(source)]
    test = 1 - _VALIDATION - train
    trained = [text.split(" ") for text in texts if split_of(text, validation=_VALIDATION, test=test) == "train"]
    known = sorted({word for text in trained for word in text})
    number = {word: place for place, word in enumerate(known)}
    coded = [np.array([number[word] for word in text], np.int64) for text in trained]
    mixed, canaries = plant(
        coded, planting.canaries, planting.repeats, seed, length=planting.words, candidates=planting.candidates
    )
    others = [text for text in texts if split_of(text, validation=_VALIDATION, test=test) != "train"]
    written = [*others, *(_in_train(_spoken(row, known), test) for row in mixed)]
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "documents.jsonl"
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in written), encoding="utf-8")
    data = TextConfig(
        paths=[str(file.resolve())], format="jsonl", sequence_length=_WINDOW, validation=_VALIDATION, test=test
    )
    node = NodeConfig(owner=silo, domain=found.domain, data=data, licence=found.licence)
    (folder / "node.yaml").write_text(to_yaml(node), encoding="utf-8")
    return Secrets(
        [_spoken(row, known) for row in canaries.planted], [_spoken(row, known) for row in canaries.candidates]
    )


def _spoken(row: Tokens, known: list[str]) -> str:
    return " ".join(known[place] for place in row.tolist())


def _in_train(text: str, test: float) -> str:
    """A text decides by its hash where it belongs: words are added until this one is where it was."""
    while split_of(text, validation=_VALIDATION, test=test) != "train":
        text += _FILLER
    return text
