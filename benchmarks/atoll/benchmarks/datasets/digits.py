"""Digits: 1,797 handwritten digits of 8 x 8, a copy of the test half of UCI's "Optical Recognition of Handwritten
Digits" (Alpaydin and Kaynak 1998), which scikit-learn ships.
"""

import hashlib

import numpy as np

from atoll.benchmarks.datasets.image_set import ImageSet
from atoll.errors import DataError

_SHA256 = "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"
_DEPTH = 16
"""The brightest pixel."""


def read() -> ImageSet:
    """All of it, in scikit-learn's order; 16 grey levels are spread over 0 to 255.

    Raises:
        DataError: scikit-learn is not installed, or has other digits.
    """
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError:
        raise DataError(
            "the digits come with scikit-learn, which is not installed; run: pip install scikit-learn"
        ) from None
    found = load_digits()
    images = found.images.astype(np.uint8)
    if (digest := hashlib.sha256(images.tobytes() + found.target.astype(np.uint8).tobytes()).hexdigest()) != _SHA256:
        raise DataError(f"scikit-learn's digits have the digest {digest}, where {_SHA256} is known")
    return ImageSet(
        name="digits",
        classes=tuple(map(str, range(10))),
        images=(images.astype(np.uint16) * 255 // _DEPTH).astype(np.uint8),
        labels=found.target.astype(np.int64),
        licence="BSD, as scikit-learn ships it",
    )
