"""A data set of pictures as one context of arrays, split at random and evenly by class."""

import numpy as np
from numpy.typing import NDArray

from atoll.benchmarks.avalanche.contexts import Context, Samples
from atoll.benchmarks.datasets.image_set import ImageSet
from atoll.errors import DataError

_TEST, _VALIDATION = 0.2, 0.1


def context_of(pictures: ImageSet, seed: int, samples: int = 0) -> Context:
    """All pictures, from 0 to 1, float32 [N, 1, H, W]: of every class a fifth to test and a tenth to validate.

    Args:
        pictures: The data set.
        seed: Of who goes where.
        samples: Of each class, at most; 0 for all.

    Raises:
        DataError: too few of a class for three parts.
    """
    rng = np.random.default_rng(seed)
    parts: list[list[NDArray[np.int64]]] = [[], [], []]
    for label in range(len(pictures.classes)):
        chosen = rng.permutation(np.flatnonzero(pictures.labels == label))[: samples or None]
        test, validation = round(_TEST * len(chosen)), round(_VALIDATION * len(chosen))
        if not test or not validation:
            raise DataError(f"{pictures.name}: class '{pictures.classes[label]}' has {len(chosen)} pictures; too few")
        for part, indices in zip(parts, np.split(chosen, [test, test + validation]), strict=True):
            part.append(indices)
    held = [np.sort(np.concatenate(part)) for part in parts]
    made = [Samples(_pixels(pictures.images[index]), pictures.labels[index]) for index in held]
    return Context(pictures.name, tuple(range(len(pictures.classes))), made[2], made[1], made[0])


def _pixels(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return (images[:, None] / np.float32(255)).astype(np.float32)
