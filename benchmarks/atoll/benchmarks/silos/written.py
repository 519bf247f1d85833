"""A silo's pictures as a file that the workload ``images`` reads, kept under the digest of what is in it."""

import hashlib
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from atoll.anchors import cache_root
from atoll.experts.files import write_atomic


def written(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Path:
    """The ``.npz`` file with these arrays in Atoll's cache; written if it is not there yet.

    Args:
        images: uint8 [N, H, W].
        labels: Places in the list of classes, int64 [N].
    """
    digest = hashlib.sha256(repr(images.shape).encode() + images.tobytes() + labels.tobytes()).hexdigest()
    path = cache_root() / "silos" / f"{digest[:32]}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = io.BytesIO()
        np.savez(stream, images=images, labels=labels)
        write_atomic(path, stream.getvalue())
    return path
