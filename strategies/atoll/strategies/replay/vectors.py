"""Vectors of an anchor's stem as samples: what generators in that space share.

Shapes: D width of a vector, B vectors, K classes.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from atoll.errors import DataError
from atoll.replay import Sample, Teacher
from atoll.workloads.classification import FeatureSpace, LabelledFeatures

_STEPS = 4
"""Into how many steps a unit of length is cut, where vectors are compared."""


def check_private(name: str, private: LabelledFeatures, context: FeatureSpace) -> None:
    """Raise DataError for no samples, or vectors of another width than the anchor's."""
    if not len(private):
        raise DataError(f"replay {name}: there is no sample to remember")
    if private.features.shape[1] != context.width:
        raise DataError(
            f"replay {name}: vectors of width {private.features.shape[1]}, and the anchor's are {context.width}"
        )


def as_stem(vectors_BD: Tensor) -> Tensor:
    """Of mean zero and length sqrt(D), as all that comes from a stem; float32."""
    return functional.layer_norm(vectors_BD, vectors_BD.shape[-1:]).float()


def as_samples(vectors_BD: Tensor, labels_B: Tensor) -> list[Sample]:
    """One by one: ``features`` float32 [1, D] and ``label`` int64 []."""
    return [{"features": v[None].clone(), "label": k.clone()} for v, k in zip(vectors_BD, labels_B, strict=True)]


def said(teacher: Teacher, vectors_BD: Tensor, context: FeatureSpace, batch: int) -> Tensor:
    """The teacher's likeliest class of each, int64 [B]."""
    numbers = context.classes.numbers.to(teacher.device)
    parts = [teacher.logits(features=part.to(teacher.device), classes=numbers) for part in vectors_BD.split(batch)]
    return torch.cat([part[:, 0].argmax(-1) for part in parts]).cpu()


def in_steps(vector_D: Tensor) -> NDArray[np.int64]:
    """The coordinates, in steps of a quarter; never negative, since none is below -sqrt(D)."""
    lowest = _STEPS * (int(len(vector_D) ** 0.5) + 1)
    found: NDArray[np.int64] = (vector_D.double() * _STEPS).round().long().add(lowest).clamp_min(0).numpy()
    return found


def side_by_side(samples: Sequence[Sample], context: FeatureSpace) -> tuple[dict[str, Tensor], Tensor]:
    """``features`` [B, 1, D], ``classes`` [K], and ``label`` [B], which the model does not look at; and their mask."""
    features = torch.stack([sample["features"] for sample in samples])
    inputs = {
        "features": features,
        "classes": context.classes.numbers,
        "label": torch.stack([sample["label"] for sample in samples]),
    }
    return inputs, torch.ones(features.shape[:2], dtype=torch.bool)
