"""Router ``naive-bayes``: the words so far say whose text this is.

Multinomial naive Bayes (Maron 1961; McCallum and Nigam 1998) over token shares, made causal: position t is routed by
the tokens up to and including t. The idea of routing whole sequences by their words is c-BTM's (Gururangan et al.
2023, arXiv 2303.14177), which has tf-idf and clusters of one corpus where this has a descriptor for each owner.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from atoll.errors import ConfigError, MixtureError
from atoll.mixture import Descriptor, Router, Routing, RoutingContext
from atoll.mixture.routing import largest


@final
@dataclass(frozen=True, slots=True)
class NaiveBayes(Router):
    """Posterior of each owner given the tokens so far; one choice for all layers.

    ``log g_e(t) = anchor·[e = 0] + (1 / temperature) Σ_{s ≤ t} log(p_e(x_s) / p_0(x_s)) + const`` over the allowed
    slots, with ``p_e = (1 - smoothing) · unigram_e + smoothing · p_0`` and p_0 the public text's shares, so no token
    counts against an owner by more than ``log(1 / smoothing)``.

    Attributes:
        smoothing: Share of the public text's distribution in every owner's, in (0, 1].
        temperature: Nats of evidence that count as one; above 1 because the words of a text do not come independently.
        anchor: Log-odds of the anchor against an expert before anything is read; ``-inf`` leaves it out where an
            expert is allowed.
        k: Slots kept at a position; 0 for all.
    """

    name: ClassVar[str] = "naive-bayes"
    everywhere: ClassVar[bool] = True
    trainable: ClassVar[bool] = True
    reads_tokens: ClassVar[bool] = True
    smoothing: float = 0.05
    temperature: float = 2.0
    anchor: float = -4.0
    k: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.smoothing <= 1:
            raise ConfigError(f"router naive-bayes: smoothing is {self.smoothing}; it must be above 0 and at most 1")
        if not self.temperature > 0:
            raise ConfigError(f"router naive-bayes: temperature is {self.temperature}; it must be positive")
        if math.isnan(self.anchor):
            raise ConfigError("router naive-bayes: anchor is not a number")

    def row(
        self, site: str, descriptor: Descriptor, anchor: Descriptor, learned: Mapping[str, Tensor]
    ) -> Mapping[str, Tensor]:
        """Log-ratio [vocabulary] to the public text, and whether this is an expert.

        Raises:
            MixtureError: a descriptor without token shares, or with another vocabulary's.
        """
        public, own = _shares(anchor), _shares(descriptor)
        if public.shape != own.shape:
            raise MixtureError(
                f"router naive-bayes: a descriptor has shares of {own.numel()} tokens, "
                f"the anchor knows {public.numel()}: they are of different anchors"
            )
        if descriptor is anchor:
            return {"ratio": torch.zeros_like(public), "expert": torch.tensor(False)}
        # Half a token more for each: what the public text never holds must not be impossible.
        public = public.double() * anchor.tokens + 0.5
        public = public / public.sum()
        own = own.double() / own.double().sum().clamp_min(1e-12)
        ratio = torch.log((1 - self.smoothing) * own / public + self.smoothing)
        return {"ratio": ratio.float(), "expert": torch.tensor(True)}

    def route(self, state: Mapping[str, Tensor], x_BSD: Tensor, context: RoutingContext) -> Routing:
        """Weights from all tokens up to each one.

        Raises:
            MixtureError: the model reads no tokens.
        """
        if context.text_BS is None:
            raise MixtureError("router naive-bayes reads tokens: run the mixture on input_ids, or give `use` text_BS")
        evidence_BSN = state["ratio"].T[context.text_BS] / self.temperature
        if context.mask_BS is not None:
            evidence_BSN = evidence_BSN * context.mask_BS[..., None]
        evidence_BSN = evidence_BSN.double().cumsum(1)
        if context.memory is not None:
            if "evidence" in context.memory:
                evidence_BSN = evidence_BSN + context.memory["evidence"][:, None]
            context.memory["evidence"] = evidence_BSN[:, -1].detach()
        prior_N = self._prior(state["expert"], context.allowed_N)
        weights_TN = torch.softmax(evidence_BSN + prior_N, -1).float().flatten(0, 1)
        weights_TK, slots_TK = largest(weights_TN, self.k)
        return Routing(slots_TK, weights_TK)

    def _prior(self, expert_N: Tensor, allowed_N: Tensor) -> Tensor:
        """Log-prior [N]; the anchor answers where nobody else may."""
        some = bool((expert_N & allowed_N).any())
        anchor = self.anchor if some else 0.0
        prior_N = torch.where(expert_N, 0.0, anchor).double()
        return prior_N.masked_fill(~allowed_N, float("-inf"))


def _shares(descriptor: Descriptor) -> Tensor:
    if descriptor.unigram is None:
        raise MixtureError(
            "router naive-bayes: a descriptor has no token shares; "
            "train with descriptor.counted=400, or take router domain"
        )
    return descriptor.unigram
