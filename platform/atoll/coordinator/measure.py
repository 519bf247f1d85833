"""Loss of a release and of its anchor on text that lies on this machine."""

import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from atoll.errors import ConfigError, DataError
from atoll.releases.opening import OpenRelease
from atoll.workloads.text import Text, TextConfig
from atoll.workloads.text.loss import next_token_loss

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What was measured.

    Attributes:
        anchor: Mean loss of the anchor by itself, in nats a token.
        mixture: Mean loss of the mixture under the entitlement.
        tokens: How many tokens were predicted.
        windows: How many windows were read.
        documents: How many documents there are.
        shares: Share of the routing weight by slot; empty where nothing is routed.
    """

    anchor: float
    mixture: float
    tokens: int
    windows: int
    documents: int
    shares: Mapping[str, float]


def measure(
    opened: OpenRelease,
    config: TextConfig,
    *,
    entitlement: Collection[str] | None = None,
    windows: int | None = None,
    batch: int = 8,
    progress: Progress = lambda what, done, total: None,
) -> Measured:
    """Measure anchor and mixture on all of a text; nothing of it is left on the disk.

    Args:
        opened: The release.
        config: The text; its shares of validation and test are not used, for here nothing is trained.
        entitlement: Owners that may answer; ``None`` for all.
        windows: The most that are read, evenly spaced; ``None`` for all.
        batch: Windows in one forward pass.
        progress: Told how far it is.

    Raises:
        ConfigError, DataError: text that cannot be used.
        MixtureError: the entitlement names somebody who is not in the mixture.
    """
    opened.mixture.allowed(entitlement)
    with _open(opened, config, progress) as text:
        batches = list(text.evaluation_batches("train", batch, windows))
        documents = text.counts["train"].documents
        total = len(batches)
        plain = opened.mixture.restrict(()).model
        anchor, tokens = _loss(plain, batches, lambda done: progress("anchor", done, total))
        with opened.mixture.use(entitlement) as call:
            mixture, _ = _loss(opened.mixture, batches, lambda done: progress("mixture", done, total))
            shares = call.shares() if call.mass_N is not None else []
    return Measured(
        anchor=anchor,
        mixture=mixture,
        tokens=tokens,
        windows=sum(len(ids) for ids in batches),
        documents=documents,
        shares=dict(zip(opened.mixture.slots, shares, strict=True)) if shares else {},
    )


@contextmanager
def _open(opened: OpenRelease, config: TextConfig, progress: Progress) -> Iterator[Text]:
    """The text as one split, and a window of at most the whole of it."""
    context = opened.anchor.architecture.context
    if config.sequence_length > context:
        raise ConfigError(
            f"a window of {config.sequence_length} tokens is more than the anchor reads: at most {context}"
        )
    # Without shares for validation and test every document is in `train`.
    everything = replace(config, validation=0.0, test=0.0)
    tokenizer = opened.anchor.tokenizer()
    # For the time being only: what is measured on may be private, and a cache elsewhere would outlive it.
    with tempfile.TemporaryDirectory(prefix="atoll-") as scratch:
        shortest = Text(replace(everything, sequence_length=2), tokenizer, Path(scratch))
        try:
            shortest.prepare(lambda done, total: progress("reading", done, total))
        except DataError as error:
            if "empty split" in str(error):
                raise DataError(f"there is no text of two tokens in {', '.join(config.paths)}") from error
            raise
        length = min(config.sequence_length, shortest.counts["train"].tokens)
        yield Text(replace(everything, sequence_length=length), tokenizer, Path(scratch))


@torch.no_grad()
def _loss(model: nn.Module, batches: list[Tensor], progress: Callable[[int], None]) -> tuple[float, int]:
    device = next(model.parameters()).device
    total, count = 0.0, 0
    for done, ids in enumerate(batches):
        progress(done)
        moved = ids.to(device)
        part, predicted = next_token_loss(model(input_ids=moved, use_cache=False).logits, moved)
        total, count = total + float(part), count + predicted
    progress(len(batches))
    return total / count, count
