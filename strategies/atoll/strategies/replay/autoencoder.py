"""A conditional variational autoencoder of vectors, small enough to be trained at an owner in seconds.

Kingma and Welling 2014 (arXiv 1312.6114), with the class beside the vector and beside the code (Sohn, Lee and Yan 2015,
NeurIPS). One variance is learned for all coordinates (Rybkin, Daniilidis and Levine 2021, arXiv 2006.13202), so that
vectors and codes are weighed without a further constant.

Shapes: D width of a vector, K classes, Z of a code, H of the hidden layers, B vectors.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

Weights = dict[str, Tensor]
SPREAD = (-3.0, 3.0)
"""Bounds of the logarithm of the deviation of vectors around what is decoded."""
_RATE, _BETAS, _EPSILON = 2e-3, (0.9, 0.99), 1e-8


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """Sizes.

    Attributes:
        width: D.
        classes: K.
        code: Z.
        hidden: H.
    """

    width: int
    classes: int
    code: int
    hidden: int

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of all weights by name."""
        width, code, hidden = self.width, self.code, self.hidden
        return {
            "encoder_in": (hidden, width + self.classes),
            "encoder_bias": (hidden,),
            "encoder_out": (2 * code, hidden),
            "decoder_in": (hidden, code + self.classes),
            "decoder_bias": (hidden,),
            "decoder_out": (width, hidden),
            "decoder_mean": (width,),
            "decoder_spread": (),
        }

    @property
    def told(self) -> int:
        """Numbers of the decoder, which leaves the owner."""
        return sum(math.prod(shape) for shape in self._decoder.values())

    def packed(self, weights: Mapping[str, Tensor]) -> Tensor:
        """The decoder's weights one after the other, float32 [P]."""
        return torch.cat([weights[name].flatten() for name in self._decoder])

    def unpacked(self, packed_P: Tensor) -> Weights:
        """The decoder's weights by name."""
        parts = packed_P.split([math.prod(shape) for shape in self._decoder.values()])
        return {name: part.reshape(shape) for (name, shape), part in zip(self._decoder.items(), parts, strict=True)}

    @property
    def _decoder(self) -> dict[str, tuple[int, ...]]:
        return {name: shape for name, shape in self.shapes.items() if name.startswith("decoder")}

    def fresh(self, seed: int) -> Weights:
        """Random matrices of variance one over their inputs, and zeros."""
        generator = torch.Generator().manual_seed(seed)
        return {
            name: torch.randn(shape, generator=generator) / shape[1] ** 0.5 if len(shape) == 2 else torch.zeros(shape)
            for name, shape in self.shapes.items()
        }


def decoded(weights: Mapping[str, Tensor], code_BZ: Tensor, class_BK: Tensor) -> Tensor:
    """Means of vectors, [B, D]."""
    hidden = functional.silu(torch.cat([code_BZ, class_BK], -1) @ weights["decoder_in"].T + weights["decoder_bias"])
    return hidden @ weights["decoder_out"].T + weights["decoder_mean"]


def bounds(weights: Mapping[str, Tensor], vector_BD: Tensor, class_BK: Tensor, noise_BZ: Tensor) -> Tensor:
    """Of each vector: the negative evidence lower bound in nats (Kingma and Welling, equations 7 and 10), [B]."""
    hidden = functional.silu(torch.cat([vector_BD, class_BK], -1) @ weights["encoder_in"].T + weights["encoder_bias"])
    mean, half = (hidden @ weights["encoder_out"].T).chunk(2, -1)
    half = half.clamp(-4, 4)  # logarithm of the standard deviation
    found = decoded(weights, mean + half.exp() * noise_BZ, class_BK)
    spread = weights["decoder_spread"].clamp(*SPREAD)
    missed = (vector_BD - found).square().sum(-1) / (2 * (2 * spread).exp()) + vector_BD.shape[-1] * spread
    prior = 0.5 * (mean.square() + (2 * half).exp() - 1 - 2 * half).sum(-1)
    return missed + prior


def gradient(weights: Weights, vector_BD: Tensor, class_BK: Tensor, noise_BZ: Tensor) -> Weights:
    """Of the sum of the bounds."""
    open_ = {name: value.detach().requires_grad_() for name, value in weights.items()}
    total = bounds(open_, vector_BD, class_BK, noise_BZ).sum()
    return dict(zip(open_, torch.autograd.grad(total, list(open_.values())), strict=True))


def gradients(weights: Weights, vector_BD: Tensor, class_BK: Tensor, noise_BZ: Tensor) -> Weights:
    """Of the bound of every vector by itself: each with a first dimension B."""

    def alone(given: Weights, vector_D: Tensor, class_K: Tensor, noise_Z: Tensor) -> Tensor:
        return bounds(given, vector_D[None], class_K[None], noise_Z[None])[0]

    each = torch.func.vmap(torch.func.grad(alone), in_dims=(None, 0, 0, 0))
    found: Weights = each(weights, vector_BD, class_BK, noise_BZ)
    return found


def trained(weights: Weights, steps: Iterator[Weights]) -> Weights:
    """Adam (Kingma and Ba 2015, arXiv 1412.6980) along gradients, which are asked for step by step.

    The iterator sees the weights as they become: they are changed in place.
    """
    first = {name: torch.zeros_like(value) for name, value in weights.items()}
    second = {name: torch.zeros_like(value) for name, value in weights.items()}
    for step, gradient in enumerate(steps, 1):
        for name, value in weights.items():
            first[name].lerp_(gradient[name], 1 - _BETAS[0])
            second[name].lerp_(gradient[name].square(), 1 - _BETAS[1])
            mean, square = first[name] / (1 - _BETAS[0] ** step), second[name] / (1 - _BETAS[1] ** step)
            value.sub_(_RATE * mean / (square.sqrt() + _EPSILON))
    return weights
