"""Gradients of an owner's vectors, step by step: as they are, or clipped and noised unit by unit (DP-SGD).

DP-SGD: Abadi et al. 2016 (arXiv 1607.00133), algorithm 1. A step takes each unit with the same probability, one vector
of it, clips that vector's gradient and adds Gaussian noise to the sum. Two data sets are neighbours when one has one
unit more.

Shapes: N vectors, D width, K classes, Z of a code, B of a step.
"""

import importlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from atoll.errors import ConfigError
from atoll.strategies.replay.autoencoder import Weights, gradient, gradients


@dataclass(frozen=True, kw_only=True, slots=True)
class Noise:
    """What DP-SGD adds.

    Attributes:
        multiplier: Standard deviation over the clipping norm; 0 for no noise.
        clip: Largest norm of one vector's gradient; 0 for no clipping.
    """

    multiplier: float = 0.0
    clip: float = 0.0


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class Vectors:
    """What is trained on.

    Attributes:
        vector_ND: Vectors.
        class_NK: Their classes, one bit each.
        unit_N: Whose each is, any numbers.
        code: Z.
    """

    vector_ND: Tensor
    class_NK: Tensor
    unit_N: NDArray[np.int64]
    code: int

    def steps(
        self, weights: Weights, count: int, rate: float, expected: float, noise: Noise, rng: np.random.Generator
    ) -> Iterator[Weights]:
        """Mean gradients at the weights as they are when each is asked for.

        Args:
            weights: Changed in place by whoever asks.
            count: Steps.
            rate: Chance of a unit to be in a step.
            expected: What sums are divided by; not to depend on who is in the step.
            noise: Of DP-SGD.
            rng: Of which are taken, of codes and of noise.
        """
        for _ in range(count):
            rows = self._drawn(rate, rng)
            codes = torch.from_numpy(rng.standard_normal((len(rows), self.code))).float()
            found = self._sum(weights, rows, codes, noise, rng)
            yield {name: value / expected for name, value in found.items()}

    def _sum(
        self, weights: Weights, rows: NDArray[np.int64], codes: Tensor, noise: Noise, rng: np.random.Generator
    ) -> Weights:
        """The gradients of some vectors, summed; of none where there is none."""
        if not len(rows):
            total = {name: torch.zeros_like(value) for name, value in weights.items()}
        elif noise.clip:
            total = _clipped(gradients(weights, self.vector_ND[rows], self.class_NK[rows], codes), noise.clip)
        else:
            total = gradient(weights, self.vector_ND[rows], self.class_NK[rows], codes)
        if not noise.multiplier:
            return total
        deviation = noise.multiplier * noise.clip
        return {name: value + deviation * _normal(rng, value) for name, value in total.items()}

    def _drawn(self, rate: float, rng: np.random.Generator) -> NDArray[np.int64]:
        """Units by Poisson sampling, and one vector of each."""
        shuffled = rng.permutation(len(self.unit_N))
        _, first = np.unique(self.unit_N[shuffled], return_index=True)
        found: NDArray[np.int64] = shuffled[first][rng.random(len(first)) < rate]
        return found


def least_noise(epsilon: float, delta: float, rate: float, steps: int) -> float:
    """The noise multiplier with which so many steps spend ε at most, by Opacus' Rényi accountant.

    Raises:
        ConfigError: Opacus is not installed, or no noise reaches that ε.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            find = importlib.import_module("opacus.accountants.utils").get_noise_multiplier
            found: float = find(
                target_epsilon=epsilon, target_delta=delta, sample_rate=rate, steps=steps, accountant="rdp"
            )
    except ImportError as error:
        raise ConfigError(
            f"replay vae: weights are noised by DP-SGD, which needs Opacus ({error}); run: "
            "pip install 'atoll[privacy]', or replay by gaussian, which needs nothing for its noise"
        ) from error
    except ValueError as error:
        raise ConfigError(f"replay vae: epsilon {epsilon:g} cannot be kept to in {steps} steps: {error}") from error
    return found


def _clipped(found: Weights, clip: float) -> Weights:
    """Gradients [B, ...], each of no more than this norm over all weights together, summed."""
    squares = [value.unsqueeze(-1).flatten(1).square().sum(1) for value in found.values()]
    scale_B = (clip / torch.stack(squares).sum(0).sqrt().clamp_min(1e-12)).clamp(max=1.0)
    return {name: torch.tensordot(scale_B, value, 1) for name, value in found.items()}


def _normal(rng: np.random.Generator, like: Tensor) -> Tensor:
    return torch.from_numpy(np.asarray(rng.standard_normal(tuple(like.shape)))).float()
