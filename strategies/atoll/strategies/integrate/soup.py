"""Integrator ``soup``: one model with the average of the experts' weights (Wortsman et al. 2022, arXiv 2203.05482)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

from torch import nn

from atoll.experts.integrator import Integrator, members
from atoll.experts.package import ExpertPackage
from atoll.mixture import Descriptor, Mixture, Router


@final
@dataclass(frozen=True, slots=True)
class Soup(Integrator):
    """Equal weights over the allowed experts; for LoRA the changes ``B A`` are averaged, not A and B apart."""

    name: ClassVar[str] = "soup"

    def integrate(
        self, anchor: nn.Module, anchor_descriptor: Descriptor, experts: Sequence[ExpertPackage], router: Router
    ) -> Mixture:
        """Average in the target modules; the router is not consulted."""
        kind, experts_by_owner = members(experts)
        return Mixture(anchor, anchor_descriptor, kind, experts_by_owner, router, composition="weights")
