"""How good probabilities of classes are: sums that add up over batches, and the figures made of them.

Accuracy; the Brier score, the squared distance of the probabilities from the truth over all classes, 0 at best and 2 at
worst (Brier 1950, Monthly Weather Review 78), which of two classes is twice that of the positive one alone; the area
under the ROC curve (Hanley and McNeil 1982, Radiology 143), of more than two classes the mean of each against the rest;
the expected calibration error (Naeini et al. 2015, AAAI; Guo et al. 2017, arXiv 1706.04599, equation 3).

The area is that of log-odds rounded to bins, ties counting half: exact up to pairs within one bin. Of two classes there
is also the true-positive rate at probability one half, and for every group of rows its area and rate.

Shapes: B samples, K classes.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import one_hot

EDGE, WIDTH = 16.0, 1 / 64
"""Log-odds beyond the edge are counted at it, and the width of a bin."""
CONFIDENCES = 15
"""Bins of confidence for the calibration error, as in Guo et al."""

_BINS = int(2 * EDGE / WIDTH) + 1


def class_sums(logits_BK: Tensor, label_B: Tensor, groups: Mapping[str, Tensor]) -> dict[str, float]:
    """Sums over samples by name; only those that are not zero, since most bins are empty.

    Args:
        logits_BK: Scores of classes.
        label_B: int64, numbers of the true ones.
        groups: Bool [B] by name: which samples are of a group.
    """
    logits, label = logits_BK.detach().double().cpu(), label_B.cpu()
    probability = logits.softmax(-1)
    sums = {"accuracy": float((logits.argmax(-1) == label).sum()), "brier": _brier(probability, label)}
    sums |= _confidences(probability, label)
    for name, rows in {"": torch.ones_like(label, dtype=torch.bool), **groups}.items():
        chosen = rows.cpu()
        sums |= _ranked(logits[chosen], label[chosen], f"@{name}" if name else "")
    return {name: value for name, value in sums.items() if value}


def class_figures(sums: Mapping[str, float], count: int, classes: int, groups: Sequence[str]) -> dict[str, float]:
    """``accuracy``, ``brier``, ``ece``, ``auroc`` and ``tpr``, and of groups ``auroc@GROUP`` and ``tpr@GROUP``.

    An area is left out where all samples are of one class, a rate where none is positive; or where there are more
    than two classes.

    Args:
        sums: Of :func:`class_sums`, added up.
        count: Samples.
        classes: K.
        groups: Names.
    """
    found = {name: sums.get(name, 0.0) / count for name in ("accuracy", "brier")}
    off = [abs(_get(sums, "hits", place) - _get(sums, "confidence", place)) for place in range(CONFIDENCES)]
    found["ece"] = sum(off) / count
    for suffix in ("", *(f"@{name}" for name in groups)):
        found |= {f"auroc{suffix}": area for area in _areas(sums, classes, suffix)}
        positives = float(_counts(sums, 1, "positive", suffix).sum())
        if classes == 2 and positives:
            found[f"tpr{suffix}"] = sums.get(f"caught{suffix}", 0.0) / positives
    return found


def _brier(probability: Tensor, label: Tensor) -> float:
    return float((probability - one_hot(label, probability.shape[-1])).square().sum())


def _confidences(probability: Tensor, label: Tensor) -> dict[str, float]:
    confidence, said = probability.max(-1)
    place = (confidence * CONFIDENCES).long().clamp(max=CONFIDENCES - 1)
    hits = torch.bincount(place, (said == label).double(), CONFIDENCES)
    held = torch.bincount(place, confidence, CONFIDENCES)
    named = (("hits", hits), ("confidence", held))
    return {_key(name, number): float(value) for name, values in named for number, value in enumerate(values)}


def _ranked(logits: Tensor, label: Tensor, suffix: str) -> dict[str, float]:
    """How many samples of a class, and of the others, fall into each bin of its log-odds."""
    sums: dict[str, float] = {}
    classes = logits.shape[-1]
    for one in range(1 if classes == 2 else 0, classes):
        others = torch.cat([logits[:, :one], logits[:, one + 1 :]], -1).logsumexp(-1)
        odds = (logits[:, one] - others).clamp(-EDGE, EDGE)
        places = ((odds + EDGE) / WIDTH).round().long()
        for side, rows in (("positive", label == one), ("negative", label != one)):
            held = torch.bincount(places[rows], minlength=_BINS)
            sums |= {_key(f"{side}{suffix}", one, int(place)): float(held[place]) for place in held.nonzero()}
    if classes == 2:
        sums[f"caught{suffix}"] = float(((label == 1) & (logits.argmax(-1) == 1)).sum())
    return sums


def _areas(sums: Mapping[str, float], classes: int, suffix: str) -> Iterator[float]:
    """The mean area over classes that have samples and do not have all; nothing where there is no such class."""
    areas = []
    for one in range(1 if classes == 2 else 0, classes):
        positive, negative = (_counts(sums, one, side, suffix) for side in ("positive", "negative"))
        pairs = positive.sum() * negative.sum()
        if pairs:
            below = np.cumsum(negative) - negative / 2
            areas.append(float((positive * below).sum() / pairs))
    if areas:
        yield sum(areas) / len(areas)


def _counts(sums: Mapping[str, float], one: int, side: str, suffix: str) -> NDArray[np.float64]:
    return np.array([_get(sums, f"{side}{suffix}", one, place) for place in range(_BINS)])


def _get(sums: Mapping[str, float], *parts: object) -> float:
    return sums.get(_key(*parts), 0.0)


def _key(*parts: object) -> str:
    return "/".join(map(str, parts))
