"""What training lowers.

Shapes: B samples, one position of each, K classes.
"""

from collections.abc import Mapping

from torch import Tensor
from torch.nn.functional import cross_entropy


def class_loss(logits_B1K: Tensor, targets: Mapping[str, Tensor]) -> tuple[Tensor, int]:
    """Summed negative log-likelihood in nats, a float32 scalar with a gradient, and over how many samples.

    Args:
        logits_B1K: Any floating type; computed in float32.
        targets: ``label``, int64 [B], places among the K classes.
    """
    label = targets["label"]
    return cross_entropy(logits_B1K[:, 0].float(), label, reduction="sum"), len(label)
