"""Distillation: a student learns what a teacher says of the same inputs (Hinton, Vinyals and Dean 2015, arXiv
1503.02531).

Losses are means over the kept positions, in nats, and scaled by the squared temperature, so that gradients keep their
size whatever it is (ibid., section 2). Shapes: any leading ones, here [...]; V candidates.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from atoll.errors import ConfigError


def forward_kl(
    teacher: Tensor,
    student: Tensor,
    mask: Tensor,
    *,
    temperature: float = 2.0,
    weights: Tensor | None = None,
    candidates: Tensor | None = None,
) -> Tensor:
    """T² KL(teacher || student) of softened predictions: what the teacher holds possible, the student must cover.

    Args:
        teacher: Logits [..., V].
        student: Logits [..., V]; gradients go here alone.
        mask: bool [...], the positions that are kept.
        temperature: T.
        weights: Of each sample, the first of the leading dimensions, or of each position [...]; not negative. The
            mean is weighted by them.
        candidates: bool, broadcast to [..., V]; False for columns that are padding and take no probability.

    Returns:
        A float32 scalar; zero where no position is kept.
    """
    kept = _Kept.of(teacher, student, mask, weights, candidates)
    told, said = kept.softened(temperature)
    return temperature**2 * kept.mean(_divergence(told, said))


def reverse_kl(
    teacher: Tensor,
    student: Tensor,
    mask: Tensor,
    *,
    temperature: float = 2.0,
    weights: Tensor | None = None,
    candidates: Tensor | None = None,
) -> Tensor:
    """T² KL(student || teacher): the student must not hold possible what the teacher does not.

    Arguments and result as of :func:`forward_kl`.
    """
    kept = _Kept.of(teacher, student, mask, weights, candidates)
    told, said = kept.softened(temperature)
    return temperature**2 * kept.mean(_divergence(said, told))


DIVERGENCES: Mapping[str, Callable[..., Tensor]] = {
    "forward-kl": forward_kl,
    "reverse-kl": reverse_kl,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Distillation:
    """Which loss, at which temperature.

    Attributes:
        divergence: ``forward-kl`` or ``reverse-kl``.
        temperature: Of both models' predictions.

    Raises:
        ConfigError: an unknown divergence, or a temperature that is not above zero.
    """

    divergence: str = "forward-kl"
    temperature: float = 2.0

    def __post_init__(self) -> None:
        if self.divergence not in DIVERGENCES:
            raise ConfigError(f"distillation: divergence is '{self.divergence}'; there are {', '.join(DIVERGENCES)}")
        if not 0 < self.temperature < float("inf"):
            raise ConfigError(f"distillation: temperature is {self.temperature}; it must be above zero")

    def loss(
        self,
        teacher: Tensor,
        student: Tensor,
        mask: Tensor,
        *,
        weights: Tensor | None = None,
        candidates: Tensor | None = None,
    ) -> Tensor:
        """See :func:`forward_kl`."""
        return DIVERGENCES[self.divergence](
            teacher, student, mask, temperature=self.temperature, weights=weights, candidates=candidates
        )


def followed(mask_BS: Tensor) -> Tensor:
    """Positions that another one follows: those whose prediction means something, bool [B, S]."""
    last = torch.zeros_like(mask_BS[:, :1])
    return mask_BS & torch.cat([mask_BS[:, 1:], last], 1)


@dataclass(frozen=True, eq=False, slots=True)
class _Kept:
    """The K positions that count, in float32."""

    teacher: Tensor
    student: Tensor
    weights: Tensor
    candidates: Tensor

    @classmethod
    def of(
        cls, teacher: Tensor, student: Tensor, mask: Tensor, weights: Tensor | None, candidates: Tensor | None
    ) -> "_Kept":
        if teacher.shape != student.shape or mask.shape != teacher.shape[:-1]:
            raise ConfigError(
                f"distillation: teacher {tuple(teacher.shape)}, student {tuple(student.shape)} and mask "
                f"{tuple(mask.shape)} do not fit: logits are [..., V] and the mask [...]"
            )
        whole = torch.ones(mask.shape, device=student.device)
        if weights is not None:
            known = weights.to(whole)
            whole = whole * (known if known.ndim == mask.ndim else known.reshape(-1, *[1] * (mask.ndim - 1)))
        real = torch.ones((), dtype=torch.bool, device=student.device) if candidates is None else candidates
        return cls(
            # What is not kept is not read: at padding a model may say anything, even NaN.
            teacher.detach()[mask].float(),
            student[mask].float(),
            whole[mask],
            real.expand(teacher.shape)[mask],
        )

    def softened(self, temperature: float) -> tuple[Tensor, Tensor]:
        """Log-probabilities of teacher and student."""
        if not temperature > 0:
            raise ConfigError(f"distillation: temperature is {temperature}; it must be above zero")
        return self._log_probabilities(self.teacher / temperature), self._log_probabilities(self.student / temperature)

    def _log_probabilities(self, logits: Tensor) -> Tensor:
        return logits.masked_fill(~self.candidates, float("-inf")).log_softmax(-1)

    def mean(self, losses: Tensor) -> Tensor:
        """Weighted over positions."""
        # With nothing to weigh the sum is zero, and a gradient of zeros still flows.
        total = self.weights.sum()
        return (self.weights * losses).sum() / torch.where(total > 0, total, 1.0)


def _divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p || q) over the last dimension; what p rules out costs nothing, whatever q says of it."""
    ruled_out = log_p == float("-inf")
    terms = log_p.exp() * (log_p.masked_fill(ruled_out, 0.0) - log_q.masked_fill(ruled_out, 0.0))
    return terms.sum(-1)
