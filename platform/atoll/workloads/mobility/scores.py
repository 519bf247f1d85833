"""How well the next location is predicted: loss, accuracy among the first k, mean reciprocal rank.

Position t predicts the location at t + 1 wherever there is one. Accuracy@k is the share of targets whose rank is at
most k (what MoveGCL and the next-location literature report as Acc@k), MRR the mean of 1 / rank.

Shapes: B sequences, S positions, n locations, T targets.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from atoll.errors import DataError

_ELEMENTS = 1 << 24
"""Scores turned to float32 or compared at a time: 64 MiB."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Sums over targets, which may be added up over batches, and then make means.

    Attributes:
        hits_1: Targets of rank 1.
        hits_3: Targets of rank 3 at most.
        hits_5: Targets of rank 5 at most.
        reciprocal: Sum of 1 / rank.
        loss: Sum of the negative log-likelihood, nats.
        count: Targets.
    """

    hits_1: int = 0
    hits_3: int = 0
    hits_5: int = 0
    reciprocal: float = 0.0
    loss: float = 0.0
    count: int = 0

    def __add__(self, other: "Scores") -> "Scores":
        return Scores(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    def metrics(self) -> dict[str, float]:
        """Means by name: ``accuracy@1``, ``accuracy@3``, ``accuracy@5``, ``mrr``, and ``loss`` in nats a visit.

        Raises:
            DataError: there was no target.
        """
        if not self.count:
            raise DataError("mobility: nothing to score: no trajectory has a second visit")
        return {
            "accuracy@1": self.hits_1 / self.count,
            "accuracy@3": self.hits_3 / self.count,
            "accuracy@5": self.hits_5 / self.count,
            "mrr": self.reciprocal / self.count,
            "loss": self.loss / self.count,
        }


def next_location_loss(logits: Tensor, batch: Mapping[str, Tensor]) -> tuple[Tensor, int]:
    """Summed negative log-likelihood of every next location, in nats, and over how many the sum goes.

    Args:
        logits: Scores of all locations, [B, S, n], any floating type; computed in float32.
        batch: ``location`` int64 [B, S] and ``mask`` bool [B, S], False at padding.

    Returns:
        The sum, a float32 scalar with a gradient, and the count, 0 where nothing is to be predicted.
    """
    total = torch.zeros((), dtype=torch.float32, device=logits.device)
    targets = _targets(batch)
    for scores, wanted in _chunks(logits, targets):
        total = total + cross_entropy(scores.float(), wanted, ignore_index=_NONE, reduction="sum")
    return total, int((targets != _NONE).sum())


@torch.no_grad()
def score(logits: Tensor, batch: Mapping[str, Tensor]) -> Scores:
    """All sums for one batch; arguments as for :func:`next_location_loss`."""
    targets = _targets(batch)
    loss, count = next_location_loss(logits, batch)
    parts = [ranks(scores, wanted.clamp(min=0))[wanted != _NONE] for scores, wanted in _chunks(logits, targets)]
    rank = torch.cat(parts) if parts else targets.new_zeros(0)
    one, three, five = (int((rank <= k).sum()) for k in (1, 3, 5))
    return Scores(one, three, five, float(rank.double().reciprocal().sum()), float(loss), count)


def ranks(scores: Tensor, targets: Tensor) -> Tensor:
    """Rank of each target among all locations, int64 [T]: 1 and one more for every other that scores no less.

    Equal scores thus count against the model, so that one which scores all alike gets no accuracy for it, and so do
    scores that are not a number.

    Args:
        scores: [T, n].
        targets: int64 [T].
    """
    own = scores.gather(-1, targets.unsqueeze(-1))
    return (~(scores < own)).sum(-1)


_NONE = -100
"""Stands where there is no target."""


def _targets(batch: Mapping[str, Tensor]) -> Tensor:
    """The next location at every position but the last, [B, S - 1]."""
    return batch["location"][:, 1:].masked_fill(~batch["mask"][:, 1:], _NONE)


def _chunks(logits: Tensor, targets: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Scores [T, n] with their targets [T], some positions at a time."""
    batch, positions, locations = logits.shape
    step = max(1, _ELEMENTS // max(1, batch * locations))
    for start in range(0, positions - 1, step):
        end = min(start + step, positions - 1)
        yield logits[:, start:end].flatten(0, 1), targets[:, start:end].flatten()
