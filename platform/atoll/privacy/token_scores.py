"""Membership scores of a document from the model's probabilities of its tokens; higher means more like a member.

Shapes: T tokens that are predicted, V vocabulary.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from atoll.errors import DataError

_LEAST_VARIANCE = 1e-6
"""A distribution that is all on one token has none, and would make any score infinite."""


@dataclass(frozen=True, eq=False, slots=True)
class TokenScores:
    """What a model says of each token that follows another in one document.

    Attributes:
        log_probability_T: Of the token that stands there, in nats.
        standardised_T: The same less its mean over the vocabulary under the model, in standard deviations.
    """

    log_probability_T: Tensor
    standardised_T: Tensor


def token_scores(logits_TV: Tensor, ids_T: Tensor) -> TokenScores:
    """Log probabilities of a document's tokens, plain and standardised, in float32 at least.

    The standardised one is ``(log p(x_t) - mu_t) / sigma_t`` with mean and standard deviation of ``log p(z)`` over
    ``z ~ p(. | x_<t)`` (Zhang et al. 2024, Min-K%++, arXiv 2404.02936).

    Args:
        logits_TV: Any floating type, the model's output at the position before each token.
        ids_T: The tokens, int64.

    Raises:
        DataError: no token, or not one row of logits for each.
    """
    if not len(ids_T) or len(logits_TV) != len(ids_T):
        raise DataError(f"membership: {len(logits_TV)} rows of logits for {len(ids_T)} tokens; give one each, and some")
    logits_TV = logits_TV.detach()
    log_TV = (logits_TV if logits_TV.dtype == torch.float64 else logits_TV.float()).log_softmax(-1)
    probability_TV = log_TV.exp()
    # A token that the model excludes has probability 0 and logarithm -inf: it adds nothing to either mean.
    finite_TV = log_TV.masked_fill(probability_TV == 0, 0.0)
    mean_T = (probability_TV * finite_TV).sum(-1)
    variance_T = (probability_TV * finite_TV.square()).sum(-1) - mean_T.square()
    own_T = log_TV.gather(-1, ids_T[:, None])[:, 0]
    return TokenScores(own_T, (own_T - mean_T) / variance_T.clamp(min=_LEAST_VARIANCE).sqrt())


def lowest_mean(values_T: Tensor, share: float) -> float:
    """Mean of the lowest ``share`` of the values, and of one at least.

    Of log probabilities it is Min-K% Prob (Shi et al. 2024, arXiv 2310.16789), of standardised ones Min-K%++
    (Zhang et al. 2024, arXiv 2404.02936). OpenUnlearning's benchmarks take ``share = 0.4``.

    Raises:
        DataError: no value, or a share that is none.
    """
    if not len(values_T) or not 0 < share <= 1:
        raise DataError(f"membership: the lowest {share} of {len(values_T)} tokens is no share of any")
    count = max(1, int(share * len(values_T)))
    return float(torch.topk(values_T, count, largest=False).values.mean())
