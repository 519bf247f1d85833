"""Accuracy of a model on every context of a stream."""

from collections.abc import Callable

import torch
from torch import Tensor

from atoll.benchmarks.avalanche.contexts import ContextStream, Part

Predict = Callable[[Tensor], Tensor]
"""From samples [B, ...] to scores [B, C]."""


@torch.no_grad()
def accuracies(predict: Predict, stream: ContextStream, part: Part, device: str) -> dict[str, float]:
    """Share of right answers by context, among the classes that each context allows."""
    found = {}
    for context, allowed_C in zip(stream.contexts, stream.allowed().to(device), strict=True):
        x, label_B = context.part(part).tensors(device)
        said_B = predict(x).masked_fill(~allowed_C, float("-inf")).argmax(1)
        found[context.name] = float((said_B == label_B).double().mean())
    return found
