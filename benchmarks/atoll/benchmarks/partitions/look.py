"""How pictures look at a silo: its camera is turned, noisy, of low contrast, or shows negatives."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import affine_grid, grid_sample

from atoll.errors import ConfigError

_BRIGHTEST = 255.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A change of grey pictures, in this order.

    Attributes:
        rotation: Degrees, anticlockwise; what comes in at the corners is background.
        contrast: Grey levels are drawn towards the middle grey by this factor; 1 leaves them.
        inverted: Whether bright and dark change places.
        noise: Standard deviation of what is added to every pixel, in grey levels of 0 to 255.

    Raises:
        ConfigError: not finite, a contrast that is not above zero, or negative noise.
    """

    rotation: float = 0.0
    contrast: float = 1.0
    inverted: bool = False
    noise: float = 0.0

    def __post_init__(self) -> None:
        if not math.isfinite(self.rotation) or not 0 < self.contrast < math.inf or not 0 <= self.noise < math.inf:
            raise ConfigError(
                f"look: rotation {self.rotation} must be finite, contrast {self.contrast} above zero and noise "
                f"{self.noise} zero or more"
            )

    def seen(self, images: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
        """Pictures as they look, uint8 [N, H, W]; the noise is a function of the seed."""
        if self == PLAIN:
            return images
        values: NDArray[np.floating] = (
            turned(images, self.rotation) if self.rotation % 360 else images.astype(np.float64)
        )
        middle = _BRIGHTEST / 2
        values = middle + self.contrast * (values - middle)
        if self.inverted:
            values = _BRIGHTEST - values
        if self.noise:
            values = values + np.random.default_rng(seed).normal(0.0, self.noise, values.shape)
        found: NDArray[np.uint8] = values.round().clip(0, _BRIGHTEST).astype(np.uint8)
        return found

    def __str__(self) -> str:
        told = [
            f"turned {self.rotation:g}°" if self.rotation else "",
            f"contrast {self.contrast:g}" if self.contrast != 1 else "",
            "inverted" if self.inverted else "",
            f"noise {self.noise:g}" if self.noise else "",
        ]
        return ", ".join(filter(None, told)) or "plain"


PLAIN = Look()
"""No change."""


def turned(images: NDArray[np.uint8], degrees: float) -> NDArray[np.float32]:
    """Pictures [N, H, W] turned anticlockwise about their middle, float32; bilinear, 0 at the corners."""
    angle = math.radians(degrees)
    height, width = images.shape[1:]
    # The grid is in units of half the height and half the width, and says where each pixel comes from.
    matrix = torch.tensor(
        [
            [math.cos(angle), -math.sin(angle) * height / width, 0.0],
            [math.sin(angle) * width / height, math.cos(angle), 0.0],
        ]
    )
    grid = affine_grid(matrix[None].expand(len(images), 2, 3), [len(images), 1, height, width], align_corners=False)
    found = grid_sample(torch.from_numpy(images)[:, None].float(), grid, align_corners=False)
    return found[:, 0].numpy()
