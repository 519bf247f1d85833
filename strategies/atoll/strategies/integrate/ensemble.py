"""Integrator ``ensemble``: whole models side by side, their predictions mixed (Branch-Train-Merge, Li et al. 2022,
arXiv 2208.03306).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, cast, final

from torch import nn

from atoll.errors import ConfigError
from atoll.experts.integrator import Integrator, members
from atoll.experts.package import ExpertPackage
from atoll.mixture import Descriptor, Mixture, Router


@final
@dataclass(frozen=True, slots=True)
class Ensemble(Integrator):
    """Mixture of probabilities; each model is the anchor with one expert, run as it was trained.

    Attributes:
        weighting: ``posterior`` weights a model by the likelihood that it gave to the text so far (the published
            method); ``uniform`` weights all alike.
    """

    name: ClassVar[str] = "ensemble"
    weighting: str = "posterior"

    def __post_init__(self) -> None:
        if self.weighting not in ("posterior", "uniform"):
            raise ConfigError(f"integrator ensemble: weighting is '{self.weighting}'; it is 'posterior' or 'uniform'")

    def integrate(
        self, anchor: nn.Module, anchor_descriptor: Descriptor, experts: Sequence[ExpertPackage], router: Router
    ) -> Mixture:
        """As many forward passes as there are allowed experts."""
        kind, experts_by_owner = members(experts)
        # A coordinated expert was never trained to stand alone: its model is the two-expert mixture.
        coordinated = all(expert.card.settings.get("coordinated") for expert in experts)
        return Mixture(
            anchor,
            anchor_descriptor,
            kind,
            experts_by_owner,
            router,
            composition="outputs",
            branches="modules" if coordinated else "weights",
            weighting=cast(Literal["posterior", "uniform"], self.weighting),
        )
