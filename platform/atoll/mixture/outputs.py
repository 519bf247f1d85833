"""Mixtures of whole models' predictions (Branch-Train-Merge, Li et al. 2022, arXiv 2208.03306)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def uniform_mixture(logits: Sequence[Tensor]) -> Tensor:
    """Logarithm of the mean of the models' probabilities, [..., V]."""
    log_probabilities = torch.stack([torch.log_softmax(each.float(), -1) for each in logits])
    return torch.logsumexp(log_probabilities, 0) - math.log(len(logits))


def posterior_mixture(logits: Sequence[Tensor], ids_BS: Tensor, mask_BS: Tensor | None = None) -> Tensor:
    """Logarithm of the mixed probabilities, each model weighted by its posterior given the text so far.

    At position t the weight of model j is proportional to the likelihood that j gave to the tokens up to and
    including t, from equal priors; so a weight never sees the token that is being predicted.

    Args:
        logits: One [B, S, V] for each model.
        ids_BS: The tokens that were read.
        mask_BS: bool, False at padding, which is no evidence; ``None`` where there is none.
    """
    stacked = torch.stack([torch.log_softmax(each.float(), -1) for each in logits])
    next_ids = ids_BS[None, :, 1:, None].expand(len(logits), -1, -1, 1)
    told = stacked[:, :, :-1].gather(-1, next_ids).squeeze(-1)
    if mask_BS is not None:
        told = told.masked_fill(~(mask_BS[:, 1:] & mask_BS[:, :-1]), 0.0)
    evidence = torch.cat([torch.zeros_like(stacked[:, :, :1, 0]), told.cumsum(-1)], -1)
    return torch.logsumexp(stacked + torch.log_softmax(evidence, 0)[..., None], 0)
