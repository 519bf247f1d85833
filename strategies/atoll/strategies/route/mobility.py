"""Router ``mobility``: a linear row for every slot over the token and the trajectory's mobility context.

MoveGCL (arXiv 2506.06694) lets the router of a mobility model see the hidden state beside the user's radius of
gyration, location entropy and encodings of waits and jumps. Here the context is the mobility anchor's
``routing_features``, with the city's embedding in it, and a slot's logit is ``x·r + c·u + b`` with a row r over the
token, a row u over the context and a bias b of the slot's own; so no slot's state depends on another's, and masking is
exact.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from atoll.anchors.mobility.context import routing_width
from atoll.errors import ConfigError, MixtureError
from atoll.mixture import Descriptor, Router, Routing, RoutingContext
from atoll.strategies.route.top_k import TopK


@final
@dataclass(frozen=True, slots=True)
class Mobility(Router):
    """Softmax over the allowed slots, of which the k largest are kept and scaled to sum to one.

    An expert that learned nothing about routing starts with the row that router ``top-k`` makes of its descriptor, no
    weight on the context and no bias. Where the anchor's model gives no context, the token alone decides.

    Attributes:
        k: Slots kept for a token.
        gain: Size of the logits, in nats, at a domain's mean, for a row that is made of a descriptor.
        context: Whether the mobility context is looked at; False is the ablation.
    """

    name: ClassVar[str] = "mobility"
    trainable: ClassVar[bool] = True
    k: int = 2
    gain: float = 4.0
    context: bool = True

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ConfigError(f"router mobility: k is {self.k}; it must be at least 1")

    def row(
        self, site: str, descriptor: Descriptor, anchor: Descriptor, learned: Mapping[str, Tensor]
    ) -> Mapping[str, Tensor]:
        """Row [D], context [C] and bias []."""
        start = TopK(gain=self.gain, bias=True).row(site, descriptor, anchor, learned)
        context = learned["context"].float() if "context" in learned else torch.zeros(routing_width(len(start["row"])))
        return {**start, "context": context}

    def route(self, state: Mapping[str, Tensor], x_BSD: Tensor, context: RoutingContext) -> Routing:
        """The k allowed slots with the largest logits.

        Losses, over what is no padding: ``z``, the mean squared log-sum-exp of the logits (ST-MoE, arXiv 2202.08906),
        and ``balance``, the allowed slots' number times the sum over them of share of first choices and mean
        probability (Switch Transformer, arXiv 2101.03961, equation 4), which is 1 where all are used alike.

        Raises:
            MixtureError: the anchor's context has another width than the rows.
        """
        logits_TN = x_BSD.flatten(0, 1).float() @ state["row"].float().T + state["bias"].float()
        if self.context and context.features_BSC is not None:
            logits_TN = logits_TN + _context_logits(state["context"], context.features_BSC)
        logits_TN = logits_TN.masked_fill(~context.allowed_N, float("-inf"))
        normaliser_T = torch.logsumexp(logits_TN, -1, keepdim=True)
        probabilities_TN = (logits_TN - normaliser_T).exp()
        weights_TK, slots_TK = probabilities_TN.topk(min(self.k, logits_TN.shape[-1]), dim=-1)
        weights_TK = weights_TK / weights_TK.sum(-1, keepdim=True)
        real_T = None if context.mask_BS is None else context.mask_BS.flatten()
        losses = {
            "z": _mean(normaliser_T.square(), real_T).squeeze(),
            "balance": _balance(probabilities_TN, context.allowed_N, real_T),
        }
        return Routing(slots_TK, weights_TK, losses)


def _context_logits(rows_NC: Tensor, features_BSC: Tensor) -> Tensor:
    if rows_NC.shape[-1] != features_BSC.shape[-1]:
        raise MixtureError(
            f"router mobility: rows for {rows_NC.shape[-1]} context features, but the anchor gives "
            f"{features_BSC.shape[-1]}: take the rows and the anchor of one version"
        )
    return features_BSC.flatten(0, 1).float() @ rows_NC.float().T


def _balance(probabilities_TN: Tensor, allowed_N: Tensor, real_T: Tensor | None) -> Tensor:
    first_T = probabilities_TN.argmax(-1)
    chosen_TN = torch.zeros_like(probabilities_TN).scatter(1, first_T[:, None], 1.0)
    return allowed_N.sum() * (_mean(chosen_TN, real_T) * _mean(probabilities_TN, real_T)).sum()


def _mean(x: Tensor, real_T: Tensor | None) -> Tensor:
    """Over the first dimension, of what is no padding."""
    if real_T is None:
        return x.mean(0)
    return (x * real_T[:, None]).sum(0) / real_T.sum().clamp_min(1)
