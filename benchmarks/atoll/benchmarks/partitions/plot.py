"""Draw a partition of data sets of pictures: ``python -m atoll.benchmarks.partitions.plot --help``.

Such as ``python -m atoll.benchmarks.partitions.plot mnist --partition "dirichlet {alpha: 0.1}" --out pictures``.
"""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from atoll.benchmarks.datasets.images import READERS
from atoll.benchmarks.partitions.figures import class_counts, how_they_look, who_holds_what
from atoll.benchmarks.partitions.partition import GROUP
from atoll.benchmarks.partitions.pictures import pooled
from atoll.benchmarks.partitions.read import read_partition
from atoll.errors import AtollError
from atoll.plugins import names

_SIDE = 28


def main() -> None:
    """Deal out, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", choices=sorted(READERS), help="pooled, in this order")
    parser.add_argument("--partition", default="dirichlet", help=f"{', '.join(names(GROUP))}, and options as YAML")
    parser.add_argument("--samples", type=int, default=0, help="of each data set, drawn at random; 0 for all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    args = parser.parse_args()
    try:
        draw(args.data, args.partition, args.samples, args.seed, args.out)
    except AtollError as error:
        parser.exit(error.exit_code, f"{error}\n")


def draw(data: Sequence[str], partition: str, samples: int, seed: int, folder: Path) -> None:
    """Deal out, print who holds what, and write two pictures.

    Raises:
        AtollError: a data set or a partition that cannot be; says why.
    """
    pictures = pooled(data, samples=samples, side=_SIDE, seed=seed)
    parts = read_partition(partition).split(pictures.pool, seed)
    for part, counts in zip(parts, class_counts(parts, pictures.pool), strict=True):
        print(f"{part.silo}, stage {part.stage}, {part.look}: {len(part.indices)} samples, by class {counts.tolist()}")
    stem = f"{'-'.join(data)}-{re.sub('[^a-z0-9.]+', '-', partition).strip('-')}-{seed}"
    print(who_holds_what(parts, pictures.pool, pictures.classes, folder / f"{stem}-classes.png"))
    print(how_they_look(parts, pictures.pool, pictures.images, folder / f"{stem}-looks.png", seed))


if __name__ == "__main__":
    main()
