"""Next-token loss.

Shapes: B sequences, S positions, V vocabulary.
"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

_ELEMENTS = 1 << 24
"""Logits turned to float32 at a time: 64 MiB."""


def next_token_loss(logits: Tensor, ids: Tensor, mask: Tensor | None = None) -> tuple[Tensor, int]:
    """Summed negative log-likelihood of every token after the first, in nats, and over how many tokens the sum goes.

    Args:
        logits: [B, S, V], any floating type; computed in float32, some positions at a time, so that a half-precision
            model's logits are never there in float32 as a whole besides what the gradient needs.
        ids: [B, S], the tokens read, int64.
        mask: [B, S], bool, False at padding; a pair counts where both its tokens do.

    Returns:
        The sum, a float32 scalar with a gradient, and the count, 0 where nothing is to be predicted.
    """
    batch, length, vocabulary = logits.shape
    targets = ids[:, 1:]
    count = targets.numel()
    if mask is not None:
        pairs = mask[:, 1:] & mask[:, :-1]
        targets = targets.masked_fill(~pairs, -100)
        count = int(pairs.sum())
    total = torch.zeros((), dtype=torch.float32, device=logits.device)
    step = max(1, _ELEMENTS // max(1, batch * vocabulary))
    for start in range(0, length - 1, step):
        end = min(start + step, length - 1)
        chunk = logits[:, start:end].float().flatten(0, 1)
        total = total + cross_entropy(chunk, targets[:, start:end].flatten(), ignore_index=-100, reduction="sum")
    return total, count
