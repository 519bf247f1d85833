"""Losses that methods of unlearning make small.

Shapes: B samples, T tokens, N slots.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


def gradient_ascent(forget_B: Tensor) -> Tensor:
    """The loss on what is to be forgotten, turned round (Thudi et al. 2022, arXiv 2109.13398).

    Args:
        forget_B: Mean loss of each sample, in nats a token.
    """
    return -forget_B.mean()


def gradient_difference(forget_B: Tensor, retain_B: Tensor, weight: float = 1.0) -> Tensor:
    """Gradient ascent, and descent on what is to stay (Liu, Liu & Stone 2022, arXiv 2203.12817; TOFU's baseline).

    Args:
        forget_B: Mean loss of each sample to be forgotten.
        retain_B: Of each that is to stay.
        weight: Of what is to stay.
    """
    return gradient_ascent(forget_B) + weight * retain_B.mean()


def negative_preference(forget_B: Tensor, reference_B: Tensor, beta: float = 0.1) -> Tensor:
    """NPO: ``-(2 / beta) * mean(log sigmoid(-beta * log(p / p_reference)))`` (Zhang et al. 2024, arXiv 2404.05868).

    As ``beta`` goes to 0 its gradient becomes gradient ascent's; samples that are forgotten already pull less.

    Args:
        forget_B: Summed loss of each sample, ``-log p``, in nats.
        reference_B: The same under the model before.
        beta: Inverse temperature.
    """
    return -2 / beta * logsigmoid(beta * (forget_B - reference_B)).mean()


def anchor_loss(gates: Sequence[Tensor], target: int) -> Tensor:
    """UOE's router anchor loss: mean over layers and tokens of ``|g - a|^2`` (Zhuang et al. 2025, SEUF, arXiv
    2411.18797), with ``a`` one for the target expert and zero elsewhere.

    It keeps tokens to be forgotten at the expert that unlearns; otherwise they go to others, which know them still.

    Args:
        gates: By layer, weights [T, N].
        target: The expert's slot.
    """
    losses = []
    for gate_TN in gates:
        wanted_N = torch.zeros_like(gate_TN[0])
        wanted_N[target] = 1.0
        losses.append((gate_TN - wanted_N).square().sum(-1).mean())
    return torch.stack(losses).mean()
