"""Mixtures of whole models' predictions (Branch-Train-Merge, Li et al. 2022, arXiv 2208.03306)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def uniform_mixture(logits: Sequence[Tensor]) -> Tensor:
    """Logarithm of the mean of the models' probabilities, [..., V]."""
    log_probabilities = torch.stack([torch.log_softmax(each.float(), -1) for each in logits])
    return torch.logsumexp(log_probabilities, 0) - math.log(len(logits))


def posterior_mixture(logits: Sequence[Tensor], ids_BS: Tensor) -> Tensor:
    """Logarithm of the mixed probabilities, each model weighted by its posterior given the text so far.

    At position t the weight of model j is proportional to the likelihood that j gave to the tokens up to and
    including t, from equal priors; so a weight never sees the token that is being predicted.

    Args:
        logits: One [B, S, V] for each model.
        ids_BS: The tokens that were read.
    """
    stacked = torch.stack([torch.log_softmax(each.float(), -1) for each in logits])
    next_ids = ids_BS[None, :, 1:, None].expand(len(logits), -1, -1, 1)
    seen = stacked[:, :, :-1].gather(-1, next_ids).squeeze(-1).cumsum(-1)
    evidence = torch.cat([torch.zeros_like(stacked[:, :, :1, 0]), seen], -1)
    return torch.logsumexp(stacked + torch.log_softmax(evidence, 0)[..., None], 0)
