"""Which of a silo's documents a training, its descriptor and its figures rest on.

All of it follows from the unit and the order in which samples come, so it is known before anything is trained.

Of an iterate, a document's share is its share of the updates: the sum over the steps so far of what the optimizer's
schedule makes of a step (its learning rate, times what weight decay leaves of it until then) times the document's part
of the step's mean loss, over the same sum for all documents. AdamW makes the updates of all steps alike large, so no
gradient's size is part of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from atoll.clients.spending import Spend
from atoll.clients.training.loop import learning_rate
from atoll.experts.training import TrainingConfig
from atoll.federation.units import TrainUnit, Unit
from atoll.workloads.workload import Sources, Split, Workload

_SMALL = 1e-100


@dataclass(frozen=True, kw_only=True)
class TrainBasis(Unit):
    """What a training rests on: for the node's agent, and never for anyone outside.

    Attributes:
        data: The version of the data: :attr:`Workload.key`.
        declared: Whether the workload declares whose its samples are. If not, all counts are 0.
        train_documents: Distinct documents of the training split.
        fewest: Distinct documents behind the iterate that rests on the fewest, of all that may leave.
        largest_share: The largest share that one document has in the updates of any iterate that may leave.
        descriptor: Documents behind the descriptor's mean, variance and directions.
        counted: Documents behind its token shares; 0 where none are told.
        validation: Documents behind the losses that choose the iterate and stand in the card; 0 where none do, and
            the last iterate leaves.
        start: Documents that a new expert's start beside others is set by; 0 where there is no such start.
        spends: What will leave with a promise of differential privacy.
        records: Keyed digests of the training split's documents.
    """

    data: str
    declared: bool
    train_documents: int = 0
    fewest: int = 0
    largest_share: float = 1.0
    descriptor: int = 0
    counted: int = 0
    validation: int = 0
    start: int = 0
    spends: list[Spend] = field(default_factory=list)
    records: list[str] = field(default_factory=list)


def training_basis(workload: Workload, unit: TrainUnit, min_documents: int = 0) -> TrainBasis:
    """What a training of this unit on this data rests on.

    Args:
        workload: The silo's data.
        unit: The work.
        min_documents: As in :class:`TrainLimits`.
    """
    every = _sources(workload, "train", workload.evaluation_indices("train"))
    described = workload.described_sources(unit.descriptor_documents)
    if every is None or described is None:
        return TrainBasis(data=workload.key, declared=False)
    counted = workload.described_sources(unit.descriptor_counted) if unit.descriptor_counted else None
    chosen = is_chosen(workload, unit, min_documents)
    fewest, share = _iterates(workload, unit, chosen)
    beside = unit.past is not None and bool(unit.past.members)
    return TrainBasis(
        data=workload.key,
        declared=True,
        train_documents=every.documents,
        fewest=fewest,
        largest_share=share,
        descriptor=described.documents,
        counted=0 if counted is None else counted.documents,
        validation=validation_documents(workload, unit.training) if chosen else 0,
        start=documents_of(workload, start_indices(workload, unit, min_documents)) if beside else 0,
    )


def validation_documents(workload: Workload, training: TrainingConfig) -> int:
    """Distinct documents of the validation split that its losses rest on."""
    indices = workload.evaluation_indices("validation", training.validation_windows or None)
    found = _sources(workload, "validation", indices)
    return 0 if found is None else found.documents


def is_chosen(workload: Workload, unit: TrainUnit, min_documents: int) -> bool:
    """Whether the validation split chooses which step's parameters leave, and its losses stand in the card.

    Not where the training is private, or the losses would rest on too few documents.
    """
    if unit.privacy.on:
        return False
    return not min_documents or validation_documents(workload, unit.training) >= min_documents


def documents_of(workload: Workload, indices: list[int]) -> int:
    """Distinct documents behind these training samples; 0 where that is not declared."""
    found = _sources(workload, "train", indices)
    return 0 if found is None else found.documents


def start_indices(workload: Workload, unit: TrainUnit, min_documents: int) -> list[int]:
    """Training samples that a new expert's start beside others is set by.

    Those of the first step, and of as many more as it takes to come to ``min_documents`` documents.
    """
    taken = workload.batch_indices(0, unit.training.batch, unit.seed)
    most = len(workload.evaluation_indices("train"))
    for step in range(1, -(-most // unit.training.batch)):
        if not min_documents or documents_of(workload, taken) >= min_documents:
            break
        taken += workload.batch_indices(step, unit.training.batch, unit.seed)
    return taken


def _sources(workload: Workload, split: Split, indices: list[int]) -> Sources | None:
    return workload.sources(split, indices)


def _iterates(workload: Workload, unit: TrainUnit, chosen: bool) -> tuple[int, float]:
    """Fewest documents, and the largest share, of all iterates that may leave.

    That is every one that the validation split may choose, where it does, and else the last alone. The iterate before
    the first step rests on nothing.
    """
    training, fewest, largest = unit.training, 0, 0.0
    decays = (0.0, training.weight_decay) if training.weight_decay else (0.0,)
    shares = [_Shares(decay) for decay in decays]  # weight decay acts on matrices alone
    for step, parts in enumerate(_steps(workload, unit)):
        for each in shares:
            each.add(learning_rate(step, training), parts)
        last = step + 1 == training.steps
        if last or (chosen and (step + 1) % training.evaluate_every == 0):
            fewest = fewest or shares[0].documents
            largest = max(largest, *(each.largest for each in shares))
    return fewest, largest


def _steps(workload: Workload, unit: TrainUnit) -> Iterator[dict[int, float]]:
    """The part of the batch's mean loss that is each document's, step by step."""
    for step in range(unit.training.steps):
        found = _sources(workload, "train", workload.batch_indices(step, unit.training.batch, unit.seed))
        assert found is not None
        document, place = np.unique(found.document, return_inverse=True)
        weight = np.bincount(place, found.weight).astype(np.float64)
        yield dict(zip(document.tolist(), (weight / weight.sum()).tolist(), strict=True))


class _Shares:
    """Running shares of the documents in an iterate, under weight decay."""

    def __init__(self, decay: float) -> None:
        self._decay = decay
        self._weight: dict[int, float] = {}
        self._scale = 1.0

    def add(self, rate: float, parts: dict[int, float]) -> None:
        self._scale *= abs(1 - rate * self._decay)
        if self._scale < _SMALL:  # what came before is gone
            self._weight = {document: weight * self._scale for document, weight in self._weight.items()}
            self._scale = 1.0
        for document, part in parts.items():
            self._weight[document] = self._weight.get(document, 0.0) + rate * part / self._scale

    @property
    def documents(self) -> int:
        return len(self._weight)

    @property
    def largest(self) -> float:
        total = sum(self._weight.values())
        return max(self._weight.values()) / total if total > 0 else 1.0
