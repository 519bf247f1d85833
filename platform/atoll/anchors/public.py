"""The public text that ships with Atoll, and the anchor's own domain descriptor, which is computed from it.

The descriptor of slot 0 is the common frame of reference of a mixture: every owner and the coordinator compute the
same one. ``public_text.jsonl.gz`` holds excerpts that anyone may copy: State of the Union addresses, Moby-Dick, Jane
Austen (public domain), comments of the Metamath proof base (CC0) and pages of the PostgreSQL manual (PostgreSQL
licence); ``python -m atoll.benchmarks.anchor.sample`` makes it.
"""

import dataclasses
import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from atoll.anchors.anchor import Anchor
from atoll.anchors.kept import kept_descriptor
from atoll.anchors.plain_text import text_ids
from atoll.anchors.states import describe_states, describe_unigram
from atoll.mixture import Descriptor

_TEXT = Path(__file__).with_name("public_text.jsonl.gz")


def public_texts(limit: int | None = None) -> list[str]:
    """The excerpts, in a fixed order that mixes their sources."""
    with gzip.open(_TEXT, "rt", encoding="utf-8") as handle:
        texts = [str(json.loads(line)["text"]) for line in handle]
    return texts[:limit]


def public_batches(anchor: Anchor, documents: int, length: int, size: int = 8) -> Iterator[tuple[Tensor, Tensor]]:
    """Token ids and masks of the first ``documents`` excerpts, ``length`` tokens of each."""
    tokenizer = anchor.tokenizer()
    encoded = [ids[:length] for ids in text_ids(tokenizer, public_texts(documents))]
    for start in range(0, len(encoded), size):
        rows = encoded[start : start + size]
        ids, mask = torch.zeros(len(rows), length, dtype=torch.int64), torch.zeros(len(rows), length, dtype=torch.bool)
        for row, tokens in enumerate(rows):
            ids[row, : len(tokens)] = torch.tensor(tokens)
            mask[row, : len(tokens)] = True
        yield ids, mask


def public_descriptor(
    anchor: Anchor, model: nn.Module, sites: Sequence[str], cache: Path, *, documents: int = 160, length: int = 128
) -> Descriptor:
    """The anchor's own descriptor, computed once for each anchor and list of sites, and kept in ``cache``."""

    def make() -> Descriptor:
        batches = (({"input_ids": ids}, mask) for ids, mask in public_batches(anchor, documents, length))
        described = describe_states(model, sites, batches)
        # Counting is cheap, so it takes all of the public text.
        everything = public_batches(anchor, len(public_texts()), 1024)
        unigram = describe_unigram(everything, anchor.architecture.vocabulary, fewest=1)
        return dataclasses.replace(described, unigram=unigram)

    return kept_descriptor(cache, [anchor.digest, list(sites), documents, length, "unigram"], make)
