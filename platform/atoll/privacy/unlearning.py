"""How near a model that was to forget something is to one that never saw it, as OpenUnlearning defines it.

OpenUnlearning (Dorna et al. 2025, arXiv 2506.12618) collects the figures of the benchmarks TOFU (Maini et al. 2024,
arXiv 2401.06121) and MUSE (Shi et al. 2025, arXiv 2407.06460). All of them hold the model against a *retrained* one:
here the mixture that never had the owner's expert.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from atoll.errors import DataError

Floats = NDArray[np.floating[Any]]

_SMALLEST = 1e-10
"""Added to denominators, as the benchmarks' own evaluation does."""


def privacy_leakage(auc: float, retrained_auc: float) -> float:
    """PrivLeak in per cent: 0 is as if never trained on (MUSE's criterion C3, arXiv 2407.06460).

    ``100 * (A - A_retrained) / A_retrained``, where ``A`` is the area under the ROC curve of telling the forgotten
    documents from held-out ones with the *held-out* ones as the positive class, one less the area that
    :func:`atoll.privacy.membership.auc` gives. So it is negative where the documents can still be told to be members,
    and positive where they are unlikelier than documents that nobody has seen, which tells of them too.

    Args:
        auc: Of the model: the probability that a forgotten document looks more like a member than a held-out one.
        retrained_auc: Of the model that never saw the documents.

    Raises:
        DataError: an area that is not in [0, 1].
    """
    for area in (auc, retrained_auc):
        if not 0 <= area <= 1:
            raise DataError(f"privacy leakage: {area} is no area under a ROC curve; it is in [0, 1]")
    found, expected = 1 - auc, 1 - retrained_auc
    return 100 * (found - expected) / (expected + _SMALLEST)


def same_distribution(values: Floats, retrained: Floats) -> float:
    """p-value of the two-sample Kolmogorov-Smirnov test that both are drawn alike: 1 for equal values.

    Of truth ratios it is TOFU's forget quality; of losses by document the same
    question where there are no questions and answers.

    Args:
        values: [N], by document, of the model.
        retrained: [M], of the model that never saw the documents.

    Raises:
        DataError: nothing on one side, or a value that is no number.
    """
    from scipy.stats import ks_2samp

    for side in (values, retrained):
        if not len(side) or np.isnan(side).any():
            raise DataError("unlearning: the distributions to be compared need values on both sides, and numbers only")
    return float(ks_2samp(values, retrained).pvalue)


def truth_ratio(paraphrased: Floats, perturbed: Floats) -> NDArray[np.float64]:
    """How likely wrong answers are beside the right one, by question (TOFU, arXiv 2401.06121).

    ``R = g(perturbed) / P(paraphrased | q)^(1/tokens)``, the length-normalised probabilities ``exp(-loss)`` of answers.
    ``g`` is the geometric mean, as in TOFU's own evaluation and in OpenUnlearning's, where the paper prints the
    arithmetic one. A model that knows the answer has R below 1; one that never did, about 1.

    Args:
        paraphrased: [Q], mean loss in nats a token of the right answer in other words, given the question.
        perturbed: [Q, A], of A wrong answers of the same form.

    Raises:
        DataError: not one row of wrong answers a question.
    """
    right, wrong = np.asarray(paraphrased, np.float64), np.asarray(perturbed, np.float64)
    if right.ndim != 1 or wrong.ndim != 2 or len(right) != len(wrong) or not wrong.size:
        raise DataError(f"truth ratio: {right.shape} right answers and {wrong.shape} wrong ones; give some a question")
    found: NDArray[np.float64] = np.exp(-wrong.mean(1)) / (np.exp(-right) + _SMALLEST)
    return found


def forget_quality(ratios: Floats, retrained: Floats) -> float:
    """TOFU's forget quality: p-value that truth ratios on the forgotten questions are those of the retrained model.

    Args:
        ratios: [Q], :func:`truth_ratio` of the model.
        retrained: [Q], of the model that never saw the questions.

    Raises:
        DataError: no question.
    """
    return same_distribution(ratios, retrained)
