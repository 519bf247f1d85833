"""How well classes are predicted.

Shapes: B samples, one position of each, K classes.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot


def class_loss(logits_B1K: Tensor, targets: Mapping[str, Tensor]) -> tuple[Tensor, int]:
    """Summed negative log-likelihood in nats, a float32 scalar with a gradient, and over how many samples.

    Args:
        logits_B1K: Any floating type; computed in float32.
        targets: ``label``, int64 [B], places among the K classes.
    """
    label = targets["label"]
    return cross_entropy(logits_B1K[:, 0].float(), label, reduction="sum"), len(label)


@torch.no_grad()
def class_scores(logits_B1K: Tensor, targets: Mapping[str, Tensor]) -> dict[str, float]:
    """Sums over samples: ``accuracy`` of the likeliest class, and ``brier``.

    The Brier score of a sample is the squared distance of the probabilities from the truth, over all classes: 0 at best
    and 2 at worst (Brier 1950, "Verification of forecasts expressed in terms of probability").
    """
    logits, label = logits_B1K[:, 0].float(), targets["label"]
    truth = one_hot(label, logits.shape[-1]).float()
    brier = (logits.softmax(-1) - truth).square().sum()
    return {"accuracy": float((logits.argmax(-1) == label).sum()), "brier": float(brier)}
