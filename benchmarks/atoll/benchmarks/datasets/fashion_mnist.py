"""Fashion-MNIST: 70,000 articles of clothing of 28 x 28 (Xiao, Rasul and Vollgraf 2017, arXiv 1708.07747).

Debian's package ``dataset-fashion-mnist`` ships the published files.
"""

import gzip
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from atoll.benchmarks.datasets.files import known
from atoll.benchmarks.datasets.image_set import ImageSet
from atoll.errors import DataError

FOLDER = Path("/usr/share/datasets/fashion-mnist")
_ADVICE = "run: apt-get install dataset-fashion-mnist"
_FILES = {
    "train-images-idx3": "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
    "train-labels-idx1": "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
    "t10k-images-idx3": "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
    "t10k-labels-idx1": "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
}
_CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")


def read(folder: Path = FOLDER) -> ImageSet:
    """All of it: the 60,000 of training first, then the 10,000 of the test.

    Args:
        folder: With the four files.

    Raises:
        DataError: a file is not there, or is another.
    """
    arrays = [_idx(known(folder / f"{name}-ubyte.gz", digest, _ADVICE)) for name, digest in _FILES.items()]
    return ImageSet(
        name="fashion-mnist",
        classes=_CLASSES,
        images=np.concatenate(arrays[0::2]),
        labels=np.concatenate(arrays[1::2]).astype(np.int64),
        licence="MIT",
    )


def _idx(path: Path) -> NDArray[np.uint8]:
    """An array of bytes in the IDX format: two zeros, the type (8), the dimensions, each size as four bytes, values."""
    data = gzip.decompress(path.read_bytes())
    if data[:3] != b"\0\0\x08":
        raise DataError(f"{path}: no bytes in the IDX format")
    sizes = np.frombuffer(data, ">u4", count=data[3], offset=4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(sizes)
