"""The stem for pictures: three convolutions and a linear map.

Shapes: B pictures, C channels, H and W pixels, D width.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from atoll.anchors.classifier.stem import Stem, whole_numbers
from atoll.errors import AnchorError, DataError

_GROUPS = 8
"""Channels that are normalised together are an eighth of a layer's."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class ImagesForm:
    """The form of a stem for pictures.

    Attributes:
        channels: 1 for grey, 3 for colour.
        height: Pixels.
        width: Pixels.
        filters: Channels after each convolution, multiples of 8; pooling after each halves height and width.
    """

    input: ClassVar[str] = "images"
    channels: int = 1
    height: int = 28
    width: int = 28
    filters: tuple[int, ...] = (24, 48, 48)

    def __post_init__(self) -> None:
        if any(count % _GROUPS for count in self.filters):
            raise AnchorError(f"an image stem's filters are {self.filters}; each must be a multiple of {_GROUPS}")

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "ImagesForm":
        """From config.json."""
        return cls(**whole_numbers("a stem for images", given))

    def build(self, width: int) -> "ImagesStem":
        """With random weights, for vectors of this width."""
        return ImagesStem(self, width)


@final
class ImagesStem(Stem):
    """Convolutions with group norms (Wu and He 2018, arXiv 1803.08494), pooling, and a linear map.

    Group norms keep nothing of a batch, so that a picture's vector never depends on its neighbours.
    """

    reads: ClassVar[str] = "pixels"

    def __init__(self, form: ImagesForm, width: int) -> None:
        super().__init__()
        self.form = form
        counts = (form.channels, *form.filters)
        self.convolutions = nn.ModuleList(nn.Conv2d(one, two, 3, padding=1) for one, two in pairwise(counts))
        self.norms = nn.ModuleList(nn.GroupNorm(_GROUPS, count) for count in form.filters)
        with torch.no_grad():
            left = self._convolved(torch.zeros(1, form.channels, form.height, form.width))
        self.project = nn.Linear(left.shape[1], width)

    def embed(self, x: Tensor) -> Tensor:
        """Pixels [B, C, H, W] from 0 to 1, to [B, D]."""
        expected = (self.form.channels, self.form.height, self.form.width)
        if tuple(x.shape[1:]) != expected:
            raise DataError(f"the anchor reads pictures of {expected} channels and pixels, not {tuple(x.shape[1:])}")
        projected: Tensor = self.project(self._convolved(x))
        return projected

    def _convolved(self, x: Tensor) -> Tensor:
        x = 2 * x - 1
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = nn.functional.avg_pool2d(nn.functional.silu(norm(convolution(x))), 2, ceil_mode=True)
        return x.flatten(1)
