"""Pictures with labels, as one value."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from atoll.errors import DataError


@dataclass(frozen=True, eq=False, kw_only=True)
class ImageSet:
    """Grey pictures, each of one class.

    Attributes:
        name: Of the data set.
        classes: Their names; a label is a place in them.
        images: uint8 [N, H, W]; 0 is the background.
        labels: int64 [N].
        licence: As its source states it.

    Raises:
        DataError: pictures and labels that do not belong together.
    """

    name: str
    classes: tuple[str, ...]
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    licence: str

    def __post_init__(self) -> None:
        if self.images.ndim != 3 or self.images.dtype != np.uint8 or self.labels.shape != self.images.shape[:1]:
            raise DataError(
                f"{self.name}: {self.images.dtype} pictures {self.images.shape} and labels {self.labels.shape} are no "
                "grey pictures with a label each"
            )
        if len(self.labels) and not 0 <= self.labels.min() <= self.labels.max() < len(self.classes):
            raise DataError(f"{self.name}: a label is none of the {len(self.classes)} classes")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def counts(self) -> NDArray[np.int64]:
        """Samples of each class, int64 [classes]."""
        return np.bincount(self.labels, minlength=len(self.classes)).astype(np.int64)


def resized(images: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Pictures uint8 [N, H, W] as squares of another side, uint8 [N, side, side]; bilinear and smoothed."""
    if images.shape[1:] == (side, side):
        return images
    found = interpolate(
        torch.from_numpy(images)[:, None].float(), (side, side), mode="bilinear", align_corners=False, antialias=True
    )
    return found.round().clamp(0, 255).byte()[:, 0].numpy()
