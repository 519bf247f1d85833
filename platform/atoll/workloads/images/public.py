"""The image anchor's own domain descriptor, from pictures that everyone can draw."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from atoll.anchors.anchor import Anchor
from atoll.anchors.classifier import ImagesForm
from atoll.anchors.kept import kept_descriptor
from atoll.anchors.states import describe_states
from atoll.mixture import Descriptor
from atoll.workloads.classification.samples import LabelledSamples
from atoll.workloads.images.drawn import drawn_pictures

_PICTURES, _SEED = 600, 0
_DIRECTIONS = 16
"""How many the anchor knows its own of, and so the most that owners are asked for."""


def public_pictures(form: ImagesForm) -> LabelledSamples:
    """Silhouettes, strokes and gratings, uint8 [N, C, H, W]."""
    drawn, kinds = drawn_pictures(_PICTURES, _SEED, form.height, form.width)
    whole = (255 * drawn).round().astype(np.uint8)[:, None]
    return LabelledSamples(np.repeat(whole, form.channels, axis=1), kinds, None)


def public_descriptor(
    anchor: Anchor, form: ImagesForm, model: nn.Module, sites: Sequence[str], cache: Path
) -> Descriptor:
    """The anchor's own descriptor, computed once for each anchor and list of sites, and kept in ``cache``."""
    made_from = [anchor.digest, list(sites), _PICTURES, _SEED, _DIRECTIONS, "pictures"]
    count = min(_DIRECTIONS, anchor.hidden_size)
    return kept_descriptor(cache, made_from, lambda: describe_states(model, sites, _batches(form), count))


def _batches(form: ImagesForm) -> Iterator[tuple[Mapping[str, Tensor], Tensor]]:
    pictures = torch.from_numpy(public_pictures(form).values).float() / 255
    for part in pictures.split(60):
        yield {"pixels": part}, torch.ones(len(part), 1, dtype=torch.bool)
