"""A linear discriminant from sums over samples, so that owners need only add theirs up.

Shapes: C classes of the anchor's head, K of them asked about, D width of the features, B samples, S = 1 position each.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

_UNSEEN = -1e4
"""Score of a class of which nobody has shown a sample."""


@dataclass(frozen=True, eq=False, slots=True)
class Sums:
    """What class means and their common covariance need of samples.

    Attributes:
        count: Samples of each class, float64 [C].
        total: Sum of their features, float64 [C, D].
        square: Sum of outer products of the features, float64 [D, D].
    """

    count: Tensor
    total: Tensor
    square: Tensor

    @classmethod
    def none(cls, classes: int, width: int) -> "Sums":
        """Of no sample."""
        zeros = torch.zeros(classes, width, dtype=torch.float64)
        return cls(zeros.sum(1), zeros, zeros.new_zeros(width, width))

    @classmethod
    def of(cls, features_BD: Tensor, classes_B: Tensor, classes: int) -> "Sums":
        """Of samples with these classes."""
        x, which = features_BD.double().cpu(), nn.functional.one_hot(classes_B.cpu(), classes).double()
        return cls(which.sum(0), which.T @ x, x.T @ x)

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(self.count + other.count, self.total + other.total, self.square + other.square)

    def head(self, shrinkage: float, doubt: float) -> "DiscriminantHead":
        """Scores by these means: ``μ_k Σ⁻¹ x - μ_k Σ⁻¹ μ_k / 2``, every class as likely as any other beforehand."""
        means = self.total / self.count.clamp(min=1)[:, None]
        within = self.square - means.T @ (self.count[:, None] * means)
        within = within / (self.count.sum() - (self.count > 0).sum()).clamp(min=1)
        sphere = torch.eye(len(within), dtype=within.dtype) * within.trace().clamp(min=1e-6) / len(within)
        weight = torch.linalg.solve((1 - shrinkage) * within + shrinkage * sphere, means.T).T
        bias = -(weight * means).sum(1) / 2
        return DiscriminantHead(weight.float(), bias.float(), self.count > 0, doubt)


class DiscriminantHead(nn.Module):
    """Log-probabilities of classes, linear in the features before they are normalised over those asked about."""

    weight: Tensor
    bias: Tensor
    seen: Tensor

    def __init__(self, weight: Tensor, bias: Tensor, seen: Tensor, doubt: float) -> None:
        super().__init__()
        self.doubt = doubt
        for name, value in (("weight", weight), ("bias", bias), ("seen", seen)):
            self.register_buffer(name, value)

    def forward(self, x_BSD: Tensor, classes: Tensor | None = None) -> Tensor:
        """Of the classes with these numbers, int64 [K], or of all; [B, S, K]."""
        chosen = slice(None) if classes is None else classes
        scores = x_BSD.float() @ self.weight[chosen].T + self.bias[chosen]
        told = scores.masked_fill(~self.seen[chosen], _UNSEEN).log_softmax(-1)
        least = told.new_full((), math.log(self.doubt / told.shape[-1]))
        return torch.logaddexp(told + math.log1p(-self.doubt), least)
