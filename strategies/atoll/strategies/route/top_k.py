"""Router ``top-k``: a linear row for every slot, started from its domain descriptor (FlexOlmo, arXiv 2507.07024,
section 3).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor
from torch.nn import functional

from atoll.errors import ConfigError
from atoll.mixture import Descriptor, Router, Routing, RoutingContext


@final
@dataclass(frozen=True, slots=True)
class TopK(Router):
    """Softmax over ``x · r_e`` for the allowed slots, of which the k largest are kept.

    FlexOlmo takes a domain's mean embedding as it is for the row. At small scale that says next to nothing: all
    means share one large common part. So rows are made relative to the anchor's descriptor and scaled to logits of a
    known size: with ``μ_0`` the anchor's mean, ``μ`` the domain's and ``d`` the difference over the pooled variance,
    the part of ``d`` that is orthogonal to ``μ_0`` is scaled so that ``r·μ = gain`` while ``r·μ_0 = 0``; the
    anchor's row has ``r_0·μ_0 = gain / 2``, which sets the boundary half-way. There is no bias, so the rows are what
    FlexOlmo and Mixtral checkpoints can hold.

    Attributes:
        k: Slots kept for a token.
        gain: Size of the logits, in nats, at a domain's mean.
        relative: False for FlexOlmo's own start: rows of length ``gain`` along the mean.
        renormalise: Whether the kept weights are scaled to sum to one. Without it, a pre-norm model's blocks shrink.
        learned: Whether an expert's trained row is used in place of the descriptor's.
        bias: Whether the trained negative bias, which makes an expert's boundary tighter in training, is kept
            afterwards.
    """

    name: ClassVar[str] = "top-k"
    trainable: ClassVar[bool] = True
    k: int = 2
    gain: float = 4.0
    relative: bool = True
    renormalise: bool = True
    learned: bool = True
    bias: bool = False

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ConfigError(f"router top-k: k is {self.k}; it must be at least 1")

    @property
    def sums_to_one(self) -> bool:
        """Where the kept weights are scaled."""
        return self.renormalise

    def row(
        self, site: str, descriptor: Descriptor, anchor: Descriptor, learned: Mapping[str, Tensor]
    ) -> Mapping[str, Tensor]:
        """Row [D] and bias []."""
        row = learned["row"].float() if self.learned and "row" in learned else self._start(site, descriptor, anchor)
        bias = learned["bias"].float() if self.bias and "bias" in learned else torch.zeros(())
        return {"row": row, "bias": bias}

    def _start(self, site: str, descriptor: Descriptor, anchor: Descriptor) -> Tensor:
        (mean, variance), (origin, spread) = descriptor.at(site), anchor.at(site)
        if not self.relative:
            return self.gain * functional.normalize(mean, dim=0)
        if descriptor is anchor:
            return self.gain / 2 * origin / origin.square().sum().clamp_min(1e-12)
        pooled = (variance + spread) / 2
        direction = (mean - origin) / pooled.clamp_min(1e-3 * float(pooled.mean()) + 1e-12)
        unit = functional.normalize(origin, dim=0)
        direction = direction - direction.dot(unit) * unit
        at_mean = direction.dot(mean)
        # A domain that cannot be told from the anchor's gets a row of zeros rather than one blown up from noise.
        return torch.where(at_mean > 1e-8, self.gain * direction / at_mean.clamp_min(1e-8), torch.zeros_like(direction))

    def route(self, state: Mapping[str, Tensor], x_BSD: Tensor, context: RoutingContext) -> Routing:
        """The k allowed slots with the largest logits; loss ``z`` is the mean squared log-sum-exp (ST-MoE, arXiv
        2202.08906).
        """
        logits_TN = x_BSD.flatten(0, 1).float() @ state["row"].float().T + state["bias"].float()
        logits_TN = logits_TN.masked_fill(~context.allowed_N, float("-inf"))
        normaliser_T = torch.logsumexp(logits_TN, -1, keepdim=True)
        probabilities_TN = (logits_TN - normaliser_T).exp()
        k = min(self.k, logits_TN.shape[-1])
        weights_TK, slots_TK = probabilities_TN.topk(k, dim=-1)
        if self.renormalise:
            weights_TK = weights_TK / weights_TK.sum(-1, keepdim=True)
        return Routing(slots_TK, weights_TK, {"z": normaliser_T.square().mean()})
