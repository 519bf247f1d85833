"""How much the frozen stem of a classifier anchor tells: ``python -m atoll.benchmarks.anchor.frozen FILE.npz …``.

Nothing is trained: each class is the mean of its training pictures' vectors, and validation pictures go to the nearest
by cosine, beside the same on raw pixels. A file holds ``images`` and ``labels``, as the workload ``images`` reads them.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from atoll.anchors import Anchor, resolve
from atoll.anchors.resolve import IMAGES
from atoll.benchmarks.anchor.images import nearest_mean
from atoll.workloads.images import Images, ImagesConfig
from atoll.workloads.workload import Split


def main() -> None:
    """Print a line for each file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE.npz")
    parser.add_argument("--anchor", default=IMAGES)
    args = parser.parse_args()
    anchor = resolve(args.anchor)
    for path in args.files:
        stem, pixels = frozen_accuracy(anchor, path)
        print(f"{path.stem}: class means {stem:.3f} on the stem's vectors, {pixels:.3f} on pixels")


def frozen_accuracy(anchor: Anchor, path: Path) -> tuple[float, float]:
    """Accuracy on the validation split, of the stem's vectors and of pixels."""
    pictures = opened(anchor, path)
    known, new = pictures.replay_private("train"), pictures.replay_private("validation")
    labels = torch.from_numpy(known.label), torch.from_numpy(new.label)
    stem = nearest_mean(known.features, labels[0], new.features, labels[1])
    return stem, nearest_mean(_pixels(pictures, "train"), labels[0], _pixels(pictures, "validation"), labels[1])


def opened(anchor: Anchor, path: Path) -> Images:
    """The pictures of a file, whose classes are those that its labels name."""
    with np.load(path) as file:
        classes = [f"class {number}" for number in range(int(file["labels"].max()) + 1)]
    return Images(ImagesConfig(paths=[str(path)], classes=classes), anchor)


def _pixels(pictures: Images, split: Split) -> Tensor:
    return torch.from_numpy(pictures.split(split).values).float().flatten(1)


if __name__ == "__main__":
    main()
