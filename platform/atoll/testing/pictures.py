"""Three silos of small made pictures."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from atoll.workloads.images import ImagesConfig

_CLASSES = ("top", "left", "middle")
_BRIGHT = {"top": np.s_[:4, :], "left": np.s_[:, :4], "middle": np.s_[2:6, 2:6]}


def toy_pictures(folder: Path, owners: Sequence[str], *, count: int = 90) -> dict[str, ImagesConfig]:
    """Write each silo's pictures of 8 x 8 pixels below ``folder``: one part is bright, on noise.

    Args:
        folder: Where an ``.npz`` file for each goes.
        owners: Whose; each has a brightness of the ground of its own, so that silos can be told apart.
        count: How many pictures each has.

    Returns:
        How to read them, by silo.
    """
    folder.mkdir(parents=True, exist_ok=True)
    configs = {}
    for place, owner in enumerate(owners):
        rng = np.random.default_rng(place)
        labels = np.arange(count) % len(_CLASSES)
        images = rng.integers(0, 40, (count, 8, 8)) + 60 * place
        for image, label in zip(images, labels, strict=True):
            image[_BRIGHT[_CLASSES[label]]] += 90
        path = folder / f"{owner}.npz"
        np.savez(path, images=images.astype(np.uint8), labels=labels)
        configs[owner] = ImagesConfig(paths=[str(path)], classes=list(_CLASSES), validation=0.2, test=0.2)
    return configs
