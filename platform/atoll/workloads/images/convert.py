"""Pictures of any size and colours as the anchor reads them.

Shapes: N pictures, H and W pixels, C channels.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from atoll.anchors.classifier import ImagesForm

Bytes = NDArray[np.uint8]

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""What red, green and blue add to brightness (ITU-R BT.601)."""

_AT_ONCE = 1024


def as_read(pictures: Bytes, form: ImagesForm) -> Bytes:
    """Pictures [N, H, W] or [N, H, W, 1 or 3] as [N, C, H, W] of the anchor's own size; bilinear, without aliasing."""
    parts = [_part(pictures[at : at + _AT_ONCE], form) for at in range(0, len(pictures), _AT_ONCE)]
    return np.concatenate(parts) if parts else np.zeros((0, form.channels, form.height, form.width), np.uint8)


def _part(pictures: Bytes, form: ImagesForm) -> Bytes:
    coloured = pictures[..., None] if pictures.ndim == 3 else pictures
    if form.channels == 1 and coloured.shape[-1] == 3:
        coloured = (coloured @ _LUMA)[..., None].round().astype(np.uint8)
    channels_first = np.ascontiguousarray(coloured.transpose(0, 3, 1, 2))
    if channels_first.shape[1] != form.channels:
        channels_first = np.repeat(channels_first, form.channels, axis=1)
    if channels_first.shape[2:] == (form.height, form.width):
        return channels_first
    whole = torch.from_numpy(channels_first).float()
    resized = functional.interpolate(whole, (form.height, form.width), mode="bilinear", antialias=True)
    found: Bytes = resized.round().clamp(0, 255).byte().numpy()
    return found
