"""Distillation: a student learns what a teacher says of the same inputs (Hinton, Vinyals and Dean 2015, arXiv
1503.02531).

Losses are means over the kept positions, in nats but for the squared error, and scaled by the squared temperature, so
that gradients keep their size whatever it is (ibid., section 2). Shapes: any leading ones, here [...]; V candidates.
"""

from collections.abc import Callable, Mapping, Sequence
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


def squared_error(
    teacher: Tensor,
    student: Tensor,
    mask: Tensor,
    *,
    temperature: float = 2.0,
    weights: Tensor | None = None,
    candidates: Tensor | None = None,
) -> Tensor:
    """Mean over candidates of the squared difference of centred logits.

    Centred, since a shift of all logits changes no prediction. The temperature cancels with its square; half of this
    over V is the limit of both divergences for high temperatures (Hinton et al. 2015, equation 4). Arguments and result
    as of :func:`forward_kl`.
    """
    kept = _Kept.of(teacher, student, mask, weights, candidates)
    return kept.mean(kept.centred().square().sum(-1) / kept.candidates.sum(-1).clamp_min(1))


DIVERGENCES: Mapping[str, Callable[..., Tensor]] = {
    "forward-kl": forward_kl,
    "reverse-kl": reverse_kl,
    "mse": squared_error,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Distillation:
    """Which loss, at which temperature.

    Attributes:
        divergence: ``forward-kl``, ``reverse-kl`` or ``mse``.
        temperature: Of both models' predictions; the squared error does not depend on it.

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


def weights_by_domain(domains: Sequence[str], mask: Tensor, shares: Mapping[str, float] | None = None) -> Tensor:
    """Weights of samples, [B], by which each domain counts for its share, however many positions it has in the batch.

    Args:
        domains: Whose domain each sample stands in for.
        mask: bool [B, ...], the positions that are kept.
        shares: Of each domain; not negative; all alike if not given.

    Returns:
        float32; they make the weighted mean over positions the shares' mean of the domains' own means.

    Raises:
        ConfigError: a domain has no share, or a negative one.
    """
    given = dict.fromkeys(domains, 1.0) if shares is None else shares
    if missing := sorted(set(domains) - set(given)):
        raise ConfigError(f"distillation: no weight for '{missing[0]}'; there are {', '.join(sorted(given))}")
    if any(not 0 <= share < float("inf") for share in given.values()):
        raise ConfigError("distillation: a domain's weight must be zero or more")
    positions = mask.flatten(1).sum(1).tolist() if mask.ndim > 1 else mask.long().tolist()
    held = dict.fromkeys(domains, 0)
    for domain, count in zip(domains, positions, strict=True):
        held[domain] += count
    found = [given[domain] / max(held[domain], 1) for domain in domains]
    return torch.tensor(found, dtype=torch.float32, device=mask.device)


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

    def centred(self) -> Tensor:
        """Difference of the logits, each less its mean over candidates; zero at padding."""
        apart = (self.teacher - self.student).masked_fill(~self.candidates, 0.0)
        mean = apart.sum(-1, keepdim=True) / self.candidates.sum(-1, keepdim=True).clamp_min(1)
        return (apart - mean).masked_fill(~self.candidates, 0.0)

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
