"""Statistics of what routers would see at their sites, when the anchor alone reads some text."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from atoll.errors import DataError
from atoll.mixture import ANCHOR_STATES, Descriptor


@torch.no_grad()
def describe_states(
    model: nn.Module,
    sites: Sequence[str],
    batches: Iterable[tuple[Mapping[str, Tensor], Tensor]],
    directions: int = 0,
) -> Descriptor:
    """Mean and variance over tokens of the input of each site's module.

    Args:
        model: The unchanged anchor.
        sites: Module paths.
        batches: Inputs of the model, and a bool mask [B, S] that is False at padding; a sequence is one document.
        directions: In how many directions the variance is told as well, at most the dimension; 0 for none.

    Raises:
        DataError: there is no token.
    """
    sums = {site: _Moments(whole=directions > 0) for site in sites}
    mask_now: list[Tensor] = []

    def hook(site: str) -> Any:
        def before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            hidden: Tensor = args[0] if args else kwargs["hidden_states"]
            sums[site].add(hidden[mask_now[0]])

        return before

    handles = [model.get_submodule(site).register_forward_pre_hook(hook(site), with_kwargs=True) for site in sites]
    device = next(model.parameters()).device
    documents = tokens = 0
    try:
        for inputs, mask in batches:
            mask_now[:] = [mask.to(device)]
            # Padding is on the right and attention is causal, so real tokens never see it. A language model's head is
            # the larger part of its work, and no site lies there.
            reader = model.model if "input_ids" in inputs else model
            reader(**{name: value.to(device) for name, value in inputs.items()}, use_cache=False)  # type: ignore[operator]
            documents += len(mask)
            tokens += int(mask.sum())
    finally:
        for handle in handles:
            handle.remove()
    if not tokens:
        raise DataError("there is nothing to describe the domain by: the training split is empty")
    return Descriptor(
        embedder=ANCHOR_STATES,
        samples=documents,
        tokens=tokens,
        sites=tuple(sites),
        mean=torch.stack([sums[site].mean() for site in sites]),
        variance=torch.stack([sums[site].variance() for site in sites]),
        directions=torch.stack([sums[site].directions(directions) for site in sites]) if directions else None,
    )


def describe_unigram(batches: Iterable[tuple[Tensor, Tensor]], vocabulary: int, *, fewest: int) -> Tensor:
    """Share of each token among all tokens of a sample.

    Args:
        batches: Token ids [B, S], and a bool mask [B, S]; a sequence is one document.
        vocabulary: Of the anchor.
        fewest: A token that fewer documents hold counts as never seen, so that it cannot give a document away.

    Returns:
        [vocabulary], float32.
    """
    counts = torch.zeros(vocabulary, dtype=torch.float64)
    documents = torch.zeros(vocabulary, dtype=torch.int64)
    for ids, mask in batches:
        for row, kept in zip(ids, mask, strict=True):
            found = torch.bincount(row[kept], minlength=vocabulary)
            counts += found
            documents += found > 0
    total = counts.sum().clamp_min(1)
    return torch.where(documents >= fewest, counts / total, 0.0).float()


class _Moments:
    """Running mean and variance in float64, by Chan's rule for merging two sets; of the whole covariance if asked."""

    def __init__(self, whole: bool) -> None:
        self._whole = whole
        self._count = 0
        self._mean = torch.zeros(())
        self._squares = torch.zeros(())

    def add(self, x_TD: Tensor) -> None:
        x = x_TD.double().cpu()
        count, mean = x.shape[0], x.mean(0)
        total = self._count + count
        if not count:
            return
        delta = mean - self._mean
        apart, between = x - mean, self._count * count / total
        if self._whole:
            self._squares = self._squares + apart.T @ apart + torch.outer(delta, delta).mul_(between)
        else:
            self._squares = self._squares + apart.square().sum(0) + delta.square() * between
        self._mean = self._mean + delta * (count / total)
        self._count = total

    def mean(self) -> Tensor:
        return self._mean.float()

    def variance(self) -> Tensor:
        squares = self._squares.diagonal() if self._whole else self._squares
        return (squares / max(1, self._count)).float()

    def directions(self, count: int) -> Tensor:
        values, vectors = torch.linalg.eigh(self._squares / max(1, self._count))
        scaled = vectors * values.clamp_min(0).sqrt()
        # Eigenvalues rise. The sign of a vector is arbitrary: its largest coordinate is made positive.
        most = scaled.T.flip(0)[:count]
        signs = most.gather(1, most.abs().argmax(1, keepdim=True)).sign()
        told: Tensor = (most * signs).float().contiguous()
        return told
