"""Integrator ``flexolmo``: experts side by side in every target module, a router over them (Shi et al. 2025, arXiv
2507.07024).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

from torch import nn

from atoll.experts.integrator import Integrator, members
from atoll.experts.package import ExpertPackage
from atoll.mixture import Descriptor, Mixture, Router


@final
@dataclass(frozen=True, slots=True)
class FlexOlmo(Integrator):
    """Concatenation: the router's rows are stacked, the experts are stacked, nothing is fitted."""

    name: ClassVar[str] = "flexolmo"
    trainable: ClassVar[bool] = True

    def integrate(
        self, anchor: nn.Module, anchor_descriptor: Descriptor, experts: Sequence[ExpertPackage], router: Router
    ) -> Mixture:
        """Mix the outputs of the target modules, token by token."""
        kind, experts_by_owner = members(experts)
        return Mixture(anchor, anchor_descriptor, kind, experts_by_owner, router)
