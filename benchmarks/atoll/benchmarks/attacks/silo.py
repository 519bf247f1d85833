"""A silo that is attacked: an institution's records, its node's folder, and the tiny public anchor."""

import contextlib
import json
import os
import random
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
import yaml

from atoll.anchors import Anchor
from atoll.anchors.anchor import no_progress_bars
from atoll.testing import toy_anchor
from atoll.workloads.text.split import split_of
from atoll.workloads.workload import Split

WINDOW = 64
"""Tokens of a window; the anchor reads bytes, so letters."""
MARKERS = "#$%&*+=@"
"""Findings that a record may hold, one character each; every one is in a quarter of all records."""
_WORDS = (
    *("fever", "dose", "chart", "nurse", "wound", "ward", "pulse", "acute", "chronic", "fracture", "sodium", "biopsy"),
    *("lesion", "graft", "onset", "relapse", "therapy", "follow", "review", "admit", "discharge", "stable", "febrile"),
    *("thorax", "renal", "hepatic", "cardiac", "sepsis", "suture", "dialysis"),
)
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_SHARES = {"validation": 0.2, "test": 0.35}
_PREVALENCE = 0.25


def attacked_anchor(folder: Path, seed: int = 0, *, steps: int = 300) -> Anchor:
    """The public anchor: a Llama of two layers, width 64, that reads bytes, trained on records of nobody.

    Args:
        folder: Where it is written, or was before.
        seed: Of weights and records.
        steps: Of AdamW, 16 windows each.
    """
    if (folder / "config.json").exists():
        return Anchor.open(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    start = toy_anchor(
        partial / "start",
        "llama",
        layers=2,
        seed=seed,
        hidden_size=64,
        intermediate_size=128,
        max_position_embeddings=256,
    )
    tokenizer, draw = start.tokenizer(), random.Random(f"public {seed}")
    text = "\n".join(make_record(draw) for _ in range(400))
    ids = torch.tensor(tokenizer(text, add_special_tokens=False)["input_ids"])
    model, generator = start.model().requires_grad_(True), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.0)
    for _ in range(steps):
        starts = torch.randint(0, len(ids) - WINDOW, (16, 1), generator=generator)
        rows = ids[starts + torch.arange(WINDOW)]
        logits = model(input_ids=rows, use_cache=False).logits[:, :-1]
        loss = torch.nn.functional.cross_entropy(logits.transpose(1, 2), rows[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with no_progress_bars():
        model.save_pretrained(partial / "whole")  # type: ignore[operator]
    tokenizer.save_pretrained(partial / "whole")
    with contextlib.suppress(OSError):  # another cell was faster, and made the same
        os.replace(partial / "whole", folder)
    shutil.rmtree(partial)
    return Anchor.open(folder)


def make_record(draw: random.Random) -> str:
    """One document: a code that nobody else has, findings, and words; about 150 letters."""
    code = "".join(draw.choices(_LETTERS, k=36))
    found = "".join(mark for mark in MARKERS if draw.random() < _PREVALENCE)
    return f"{code} {found} {' '.join(draw.choices(_WORDS, k=15))}"


def records(seed: int | str, split: Split, count: int) -> list[str]:
    """So many documents that all belong to one split."""
    draw = random.Random(f"records {seed} {split}")
    made: list[str] = []
    while len(made) < count:
        text = make_record(draw)
        if split_of(text, validation=_SHARES["validation"], test=_SHARES["test"]) == split:
            made.append(text)
    return made


@dataclass(frozen=True, kw_only=True)
class AttackedSilo:
    """What the institution has; the attacker sees none of it.

    Attributes:
        folder: The node's.
        anchor: What everybody has.
        texts: By split, in the order of the file.
    """

    folder: Path
    anchor: Anchor
    texts: dict[Split, list[str]] = field(default_factory=dict)

    @classmethod
    def create(
        cls, folder: Path, anchor: Anchor, seed: int | str, *, train: int = 44, validation: int = 22, test: int = 26
    ) -> "AttackedSilo":
        """A silo with so many records of each split."""
        counts: dict[Split, int] = {"train": train, "validation": validation, "test": test}
        made = cls(
            folder=folder,
            anchor=anchor,
            texts={split: records(seed, split, count) for split, count in counts.items()},
        )
        made.write()
        return made

    def with_texts(self, split: Split, texts: Sequence[str]) -> "AttackedSilo":
        """The same silo once the owner has changed its documents of one split."""
        made = AttackedSilo(folder=self.folder, anchor=self.anchor, texts={**self.texts, split: list(texts)})
        made.write()
        return made

    def write(self) -> None:
        """Put the node's folder in place."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps({"text": text}) for texts in self.texts.values() for text in texts]
        (self.folder / "notes.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        data = {"paths": [str(self.folder / "notes.jsonl")], "sequence_length": WINDOW, **_SHARES}
        config = {
            "owner": "clinic",
            "domain": "records of a clinic",
            "data": data,
            "anchor": str(self.anchor.path),
            "device": "cpu",
        }
        (self.folder / "node.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")


def share_cache(source: Path, folder: Path) -> None:
    """Take over what another node made of public text alone, which is the same for all."""
    if source.exists() and not folder.exists():
        shutil.copytree(source, folder)
