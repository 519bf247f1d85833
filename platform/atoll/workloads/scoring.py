"""What a model says of single documents: loss, membership scores and truth ratios, by document."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from atoll.mixture import Mixture
from atoll.privacy.attacks import calibrated_scores, loss_scores, zlib_scores
from atoll.privacy.gradient_norm import gradient_norm, open_for_gradients
from atoll.privacy.membership import per_person
from atoll.privacy.scorecard import DocumentScores
from atoll.privacy.token_scores import lowest_mean, token_scores
from atoll.privacy.unlearning import truth_ratio
from atoll.privacy.unlearning_config import ALWAYS, AUTO, UnlearningConfig
from atoll.replay import Teacher
from atoll.workloads.workload import Batch, Question, Split, Workload

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class Documents:
    """Some documents of a split.

    Attributes:
        workload: Whose they are.
        split: Of it.
        indices: Which.
        batch: How many are read side by side.
    """

    workload: Workload
    split: Split
    indices: Sequence[int]
    batch: int = 8

    def batches(self, size: int = 0) -> Iterator[Batch]:
        """The documents side by side, ``size`` at a time."""
        step = size or self.batch
        for start in range(0, len(self.indices), step):
            yield self.workload.documents(self.split, self.indices[start : start + step])

    def content(self) -> list[bytes] | None:
        """Bytes of each, where they are text."""
        return self.workload.document_bytes(self.split, self.indices)

    def persons(self) -> NDArray[np.int64] | None:
        """Whose each is, [N]; ``None`` where that is not known."""
        found = self.workload.persons(self.split)
        return None if found is None else found[np.asarray(self.indices)]


def documents_of(workload: Workload, split: Split, most: int, batch: int) -> Documents:
    """Documents of a split, evenly spaced ones: which they are follows from the data and ``most`` alone.

    Raises:
        DataError: there are none.
    """
    return Documents(workload, split, workload.document_indices(split, most), batch)


def document_losses(model: Teacher, documents: Documents) -> Floats:
    """Mean loss of each document, in nats a unit, [N]."""
    return np.concatenate([_losses(model, documents.workload, batch)[0] for batch in documents.batches()])


def score_documents(
    model: Teacher,
    forget: Documents,
    holdout: Documents,
    reference: tuple[Floats, Floats],
    config: UnlearningConfig,
    questions: Sequence[Question] = (),
) -> DocumentScores:
    """All that a scorecard needs of one model; of persons, where they are known, and not of their samples.

    Args:
        model: Who is asked.
        forget: Documents that were trained on.
        holdout: Others of the same kind.
        reference: :func:`document_losses` of the anchor on both, which has seen none of them.
        config: Which scores.
        questions: About the documents that were trained on.
    """
    (of_forget, forget_loss), (of_holdout, holdout_loss) = (
        _scores(model, side, known, config) for side, known in zip((forget, holdout), reference, strict=True)
    )
    return DocumentScores(
        forget_loss=forget_loss,
        holdout_loss=holdout_loss,
        forget=of_forget,
        holdout=of_holdout,
        truth_ratios=_truth_ratios(model, questions) if questions else None,
    )


def _scores(
    model: Teacher, documents: Documents, reference: Floats, config: UnlearningConfig
) -> tuple[dict[str, Floats], Floats]:
    """Membership scores by attack, and losses; a model is read once for all but the gradient."""
    content = documents.content()
    parts: list[Floats] = []
    lowest: list[tuple[float, float]] = []
    for batch in documents.batches():
        losses, logits = _losses(model, documents.workload, batch)
        parts.append(losses)
        lowest += [] if content is None else _lowest(batch, logits, config.min_k)
    losses = np.concatenate(parts)
    found = {"loss": loss_scores(losses), "reference": calibrated_scores(losses, reference)}
    if content is not None:
        found |= {"zlib": zlib_scores(losses, content)}
        found |= dict(zip(("min_k", "min_k_plus_plus"), np.array(lowest).T, strict=True))
    if config.gradient == ALWAYS or (config.gradient == AUTO and content is None):
        found["gradient"] = -_gradients(model, documents)
    persons = documents.persons()
    if persons is None:
        return found, losses
    return {name: per_person(values, persons) for name, values in found.items()}, per_person(losses, persons)


def _losses(model: Teacher, workload: Workload, batch: Batch) -> tuple[Floats, Tensor]:
    """Mean loss by document [B], and the logits."""
    there = batch.to(model.device)
    logits = model.logits(**there.inputs)
    found = []
    for row in range(len(logits)):
        total, count = workload.loss(logits[row : row + 1], _row(there.targets, row))
        found.append(float(total) / count)
    return np.array(found, dtype=np.float64), logits


def _lowest(batch: Batch, logits_BSV: Tensor, share: float) -> list[tuple[float, float]]:
    """Min-K% and Min-K%++ of every document of a batch of text."""
    found = []
    for row, logits_SV in enumerate(logits_BSV):
        length = int(batch.targets["mask"][row].sum())
        ids_S = batch.targets["ids"][row, :length].to(logits_SV.device)
        scores = token_scores(logits_SV[: length - 1], ids_S[1:])
        found.append((lowest_mean(scores.log_probability_T, share), lowest_mean(scores.standardised_T, share)))
    return found


def _gradients(model: Teacher, documents: Documents) -> Floats:
    """Gradient norm by document [N], over the parameters that all compared models have: the anchor's own."""
    found = []
    with open_for_gradients(model.model) as weights:
        for batch in documents.batches(1):
            alone = batch.to(model.device)
            total, count = documents.workload.loss(_forward(model, alone.inputs), alone.targets)
            found.append(gradient_norm(total / count, weights))
    return np.array(found, dtype=np.float64)


def _forward(model: Teacher, inputs: Mapping[str, Tensor]) -> Tensor:
    """As :meth:`Teacher.logits`, with a gradient."""
    if not isinstance(model.model, Mixture):
        plain: Tensor = model.model(**inputs).logits
        return plain
    with model.model.use(model.entitlement):
        found: Tensor = model.model(**inputs).logits
    return found


def _truth_ratios(model: Teacher, questions: Sequence[Question]) -> Floats:
    right = np.array([_answer_loss(model, *question.right) for question in questions])
    # The geometric mean over wrong answers, of which questions may have different numbers.
    wrong = [np.mean([_answer_loss(model, *answer) for answer in question.wrong]) for question in questions]
    return truth_ratio(right, np.array(wrong)[:, None])


def _answer_loss(model: Teacher, ids_S: Tensor, answer: int) -> float:
    """Mean loss in nats a token of the answer, given the question."""
    moved = ids_S.to(model.device)
    logits_SV = model.logits(input_ids=moved[None])[0]
    return float(torch.nn.functional.cross_entropy(logits_SV[answer - 1 : -1].float(), moved[answer:]))


def _row(values: Mapping[str, Any], row: int) -> dict[str, Any]:
    return {name: value[row : row + 1] for name, value in values.items()}
