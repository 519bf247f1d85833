"""Router ``uniform``: every allowed slot alike, whatever the token. The baseline that knows nothing of domains."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from atoll.mixture import Descriptor, Router, Routing, RoutingContext


@final
@dataclass(frozen=True, slots=True)
class Uniform(Router):
    """Equal weights over the entitlement.

    Attributes:
        anchor: Whether the anchor takes a share while an expert is allowed.
    """

    name: ClassVar[str] = "uniform"
    anchor: bool = True

    def row(
        self, site: str, descriptor: Descriptor, anchor: Descriptor, learned: Mapping[str, Tensor]
    ) -> Mapping[str, Tensor]:
        """Nothing is known of a slot: an empty row."""
        return {"nothing": torch.zeros(0)}

    def route(self, state: Mapping[str, Tensor], x_BSD: Tensor, context: RoutingContext) -> Routing:
        """The same weights for every token."""
        weights = context.allowed_N.to(torch.float32, copy=True)
        if not self.anchor and bool(context.allowed_N[1:].any()):
            weights[0] = 0.0
        tokens, slots = x_BSD.shape[0] * x_BSD.shape[1], weights.shape[0]
        weights = weights / weights.sum()
        return Routing(torch.arange(slots, device=x_BSD.device).expand(tokens, slots), weights.expand(tokens, slots))
