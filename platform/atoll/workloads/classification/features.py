"""What the anchor's frozen stem says of samples: where replay of classifiers is drawn."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

_AT_ONCE = 256


@dataclass(frozen=True, eq=False, slots=True)
class LabelledFeatures:
    """An owner's samples as a generator's ``remember`` takes them.

    Attributes:
        features: float32 [N, D], of length sqrt(D) each.
        label: Place of its class, int64 [N].
        unit: Whose each is, any numbers, int64 [N]; where no person is known, each is its own.
    """

    features: Tensor
    label: NDArray[np.int64]
    unit: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.label)


@torch.no_grad()
def stem_features(model: nn.Module, inputs: Tensor) -> Tensor:
    """The stem's vectors, float32 [N, D] on the CPU, of samples [N, ...] as the model reads them."""
    stem: Any = model.get_submodule("stem")
    device = next(stem.parameters()).device
    return torch.cat([stem(part.to(device)).float().cpu() for part in inputs.split(_AT_ONCE)])
