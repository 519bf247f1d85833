"""Router ``domain``: the text so far is matched with the domain descriptors, and the nearest experts answer.

Sequence-level routing by descriptors, as in c-BTM (arXiv 2303.14177) and mixtures of Gaussians over router inputs
(IDA-MoE), made causal: position t is routed by the tokens up to and including t, never by those after it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from atoll.errors import ConfigError, MixtureError
from atoll.mixture import Descriptor, Router, Routing, RoutingContext
from atoll.mixture.routing import largest


@final
@dataclass(frozen=True, slots=True)
class Domain(Router):
    """Posterior of each domain given the tokens so far, by Gaussians with the descriptors' means and pooled variances.

    ``log g_e(t) ∝ (1 / temperature) Σ_{s ≤ t} log N(x_s; μ_e, σ²_e)`` over the allowed slots, with equal priors.
    Coordinates of one token and neighbouring tokens are far from independent, which is what the temperature makes up
    for.

    Attributes:
        temperature: Nats of naive evidence that count as one.
        k: Slots kept at a position; 0 for all.
        anchor: Log-odds that the anchor has against an expert before anything is read; ``-inf`` leaves it out.
        directions: Whether the covariance is a diagonal and the descriptors' directions, and not the diagonal alone. It
            tells domains apart whose means are near and whose shapes are not; where one position is all that is read,
            as of a picture, much rests on it.
    """

    name: ClassVar[str] = "domain"
    trainable: ClassVar[bool] = True
    temperature: float = 64.0
    k: int = 0
    anchor: float = 0.0
    directions: bool = False

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ConfigError(f"router domain: temperature is {self.temperature}; it must be positive")

    def row(
        self, site: str, descriptor: Descriptor, anchor: Descriptor, learned: Mapping[str, Tensor]
    ) -> Mapping[str, Tensor]:
        """Log-density of a token x as ``constant + linear · x + square · x²``, with directions ``+ |factor x|² / 2``.

        Raises:
            MixtureError: directions are asked for, and a descriptor has none.
        """
        mean, variance = descriptor.at(site)
        spread = anchor.at(site)[1]
        prior = torch.tensor(self.anchor if descriptor is anchor else 0.0)
        if self.directions:
            factors = [_factors(each, site, _told(anchor).shape[1]) for each in (descriptor, anchor)]
            return {**_factored(mean, (variance, spread), factors), "prior": prior}
        # Half of the anchor's variance: a silo with few documents must not become certain in a coordinate it never
        # saw vary.
        pooled = (variance + spread) / 2
        pooled = pooled.clamp_min(1e-3 * float(pooled.mean()) + 1e-12)
        precision = 1.0 / pooled
        constant = -0.5 * (mean.square() * precision + pooled.log() + math.log(2 * math.pi)).sum()
        return {"constant": constant, "linear": mean * precision, "square": -0.5 * precision, "prior": prior}

    def route(self, state: Mapping[str, Tensor], x_BSD: Tensor, context: RoutingContext) -> Routing:
        """Weights from the evidence of all positions up to each one."""
        x = x_BSD.float()
        density_BSN = state["constant"] + x @ state["linear"].T + x.square() @ state["square"].T
        if "factor" in state:
            density_BSN = density_BSN + torch.einsum("bsd,nrd->bsnr", x, state["factor"]).square().sum(-1) / 2
        # Against the anchor: sums of raw log-densities lose the differences between slots in float32.
        density_BSN = density_BSN - density_BSN[..., :1]
        if context.mask_BS is not None:
            density_BSN = density_BSN * context.mask_BS[..., None]
        evidence_BSN = density_BSN.cumsum(1)
        if context.memory is not None:
            if "evidence" in context.memory:
                evidence_BSN = evidence_BSN + context.memory["evidence"][:, None]
            context.memory["evidence"] = evidence_BSN[:, -1].detach()
        logits_BSN = evidence_BSN / self.temperature + state["prior"]
        allowed = context.allowed_N
        if math.isinf(self.anchor) and bool(allowed[1:].any()):
            allowed = allowed & (torch.arange(allowed.shape[0], device=allowed.device) > 0)
        if math.isinf(self.anchor) and not bool(context.allowed_N[1:].any()):
            logits_BSN = torch.zeros_like(logits_BSN)
        logits_TN = logits_BSN.masked_fill(~allowed, float("-inf")).flatten(0, 1)
        weights_TN = torch.softmax(logits_TN, -1)
        weights_TK, slots_TK = largest(weights_TN, self.k)
        return Routing(slots_TK, weights_TK)


def _factors(descriptor: Descriptor, site: str, count: int) -> Tensor:
    """The first so many directions [R, D] at a site; zeros for those that are not told."""
    told = _told(descriptor)[descriptor.sites.index(site)][:count]
    return torch.cat([told, told.new_zeros(count - len(told), told.shape[1])])


def _told(descriptor: Descriptor) -> Tensor:
    if descriptor.directions is None:
        raise MixtureError(
            "router domain: a descriptor has no directions; train with descriptor.directions=16 over an anchor that "
            "knows its own, as those for pictures do, or leave the router's option directions"
        )
    return descriptor.directions


def _factored(mean: Tensor, variances: tuple[Tensor, Tensor], factors: Sequence[Tensor]) -> dict[str, Tensor]:
    """A Gaussian with covariance Ψ + FᵀF, by Woodbury's identity: precision Ψ⁻¹ - GᵀG.

    F are the slot's own directions. What they leave of the variances, Ψ, is half its own and half the anchor's, as all
    of it is where there are no directions.
    """
    left = [(each - told.square().sum(0)).clamp_min(0) for each, told in zip(variances, factors, strict=True)]
    rest = (left[0] + left[1]).double() / 2
    rest = rest.clamp_min(1e-3 * float(variances[1].mean()) + 1e-12)
    own, middle = factors[0].double(), mean.double()
    inner = torch.eye(len(own), dtype=torch.float64) + (own / rest) @ own.T
    factor = torch.linalg.solve_triangular(torch.linalg.cholesky(inner), own / rest, upper=False)
    linear = middle / rest - factor.T @ (factor @ middle)
    size = torch.logdet(inner) + rest.log().sum() + len(middle) * math.log(2 * math.pi)
    constant = -0.5 * (linear @ middle + size)
    found = {"constant": constant, "linear": linear, "square": -0.5 / rest, "factor": factor}
    return {name: value.float() for name, value in found.items()}
