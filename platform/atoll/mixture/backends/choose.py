"""Which backend to take, by rules.

The rules for CPU come from timing every backend with torch 2.13 on one thread of a shared x86 machine: widths of 256,
ranks 8 and 32, 2 to 128 experts, 1 to 2,048 tokens, two chosen. ``python -m atoll.benchmarks.speed.experts`` times them
at any of these sizes. The rules for GPUs are reasoned, not measured: a GPU hides the work of running all experts, but
not the wait for the counts.
"""

import torch

from atoll.mixture.backends.feed_forward import FeedForwardBackend
from atoll.mixture.backends.grouping import can_group
from atoll.mixture.backends.lora import LoraBackend

_SORT_COST = 64  # Sorting, taking and putting back one choice costs as much as this many more ranks.
_FEW_TOKENS = 16
_FEW_TOKENS_RANKS = 512
_CUDA_RANKS = 2048
_FEW_SLOTS = 8


def choose_lora(
    *, device: torch.device, dtype: torch.dtype, rank: int, experts: int, tokens: int, chosen: int
) -> LoraBackend:
    """Backend for low-rank experts.

    All experts at once (``concatenated``) as long as that is less work than sorting the tokens and running only the
    chosen ones: ``experts · rank <= chosen · (rank + 64)``; up to 512 ranks for a few tokens, as in generation.

    Args:
        device: Where the tokens are.
        dtype: Of tokens and experts.
        rank: The highest of the experts'.
        experts: How many are stacked; the anchor does not count.
        tokens: In this call.
        chosen: Slots a token.
    """
    ranks = experts * rank
    limit = chosen * (rank + _SORT_COST)
    if device.type == "cuda":
        limit = max(limit, _CUDA_RANKS)
    elif tokens <= _FEW_TOKENS:
        limit = max(limit, _FEW_TOKENS_RANKS)
    if ranks <= limit:
        return "concatenated"
    return "grouped" if can_group(device, dtype) else "loop"


def choose_feed_forward(
    *, device: torch.device, dtype: torch.dtype, experts: int, tokens: int, chosen: int
) -> FeedForwardBackend:
    """Backend for whole feed-forward blocks.

    On CPU ``loop`` and ``grouped`` differ little forward; ``grouped`` is up to twice as fast with the gradients of many
    slots, and ``loop`` is safer with few, where each slot's product is large.

    Args:
        device: Where the tokens are.
        dtype: Of tokens and experts.
        experts: Slots that are stacked, the anchor's among them.
        tokens: In this call.
        chosen: Slots a token.
    """
    # No more slots can be in use than there are choices.
    used = min(experts, tokens * chosen)
    many = device.type == "cuda" or used > _FEW_SLOTS
    return "grouped" if many and can_group(device, dtype) else "loop"
