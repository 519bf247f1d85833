"""Membership by the size of a document's gradient: what was trained on pulls the weights less."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from atoll.errors import DataError


def gradient_norm(loss: Tensor, weights: Sequence[nn.Parameter]) -> float:
    """Mean over weight tensors of the Euclidean norm of the loss's gradient (Wang et al. 2024, arXiv 2402.17012).

    Tensors that the loss does not depend on are left out. A member's is small, so its score is the negative.

    Args:
        loss: Of one document, a scalar with a gradient.
        weights: Open for gradients, see :func:`open_for_gradients`; the ``grad`` of none of them is touched.

    Raises:
        DataError: the loss depends on none of the weights.
    """
    found = [part for part in torch.autograd.grad(loss, list(weights), allow_unused=True) if part is not None]
    if not found:
        raise DataError("membership: the loss depends on none of the weights, so that it has no gradient")
    return float(torch.stack([part.double().norm() for part in found]).mean())


@contextmanager
def open_for_gradients(model: nn.Module) -> Iterator[list[nn.Parameter]]:
    """A model's parameters, open for gradients inside the block and as they were after it."""
    weights = [weight for weight in model.parameters() if weight.is_floating_point()]
    before = [weight.requires_grad for weight in weights]
    try:
        for weight in weights:
            weight.requires_grad_(True)
        with torch.enable_grad():
            yield weights
    finally:
        for weight, was in zip(weights, before, strict=True):
            weight.requires_grad_(was)
