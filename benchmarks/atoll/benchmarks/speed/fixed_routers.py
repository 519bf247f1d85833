"""Routers that do as a peer does, so that the experts' work is the same: for this benchmark, not registered."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from atoll.mixture import Descriptor, Router, Routing, RoutingContext


@final
@dataclass(frozen=True, eq=False, slots=True)
class Given(Router):
    """The routing is decided beforehand, and the same at every site.

    Attributes:
        slots_TK: Which slots.
        weights_TK: With what weight.
    """

    name: ClassVar[str] = "given"
    everywhere: ClassVar[bool] = True
    slots_TK: Tensor
    weights_TK: Tensor

    def row(
        self, site: str, descriptor: Descriptor, anchor: Descriptor, learned: Mapping[str, Tensor]
    ) -> Mapping[str, Tensor]:
        """Nothing is known of a slot."""
        return {"nothing": torch.zeros(0)}

    def route(self, state: Mapping[str, Tensor], x_BSD: Tensor, context: RoutingContext) -> Routing:
        """As decided."""
        return Routing(self.slots_TK, self.weights_TK)


@final
@dataclass(frozen=True, slots=True)
class ArrowRows(Router):
    """Arrow's rule (Ostapenko et al. 2024, arXiv 2405.11157): softmax over the best few of ``|x · v_e|``.

    Attributes:
        k: How many.
    """

    name: ClassVar[str] = "arrow"
    k: int

    def row(
        self, site: str, descriptor: Descriptor, anchor: Descriptor, learned: Mapping[str, Tensor]
    ) -> Mapping[str, Tensor]:
        """Nothing: prototypes are of weights, and are given as rows."""
        return {}

    def route(self, state: Mapping[str, Tensor], x_BSD: Tensor, context: RoutingContext) -> Routing:
        """The experts alone: Arrow has no slot for the anchor."""
        scores_TE = (x_BSD.flatten(0, 1) @ state["prototype"][1:].T).abs()
        scores_TK, experts_TK = scores_TE.topk(min(self.k, scores_TE.shape[1]), dim=1)
        return Routing(experts_TK + 1, scores_TK.softmax(1))
