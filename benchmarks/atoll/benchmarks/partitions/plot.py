"""Draw a partition of data sets of pictures: ``python -m atoll.benchmarks.partitions.plot --help``.

Such as ``python -m atoll.benchmarks.partitions.plot mnist --partition dirichlet --option alpha=0.1 --out pictures``.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from atoll.benchmarks.datasets.images import READERS
from atoll.benchmarks.partitions.figures import class_counts, how_they_look, who_holds_what
from atoll.benchmarks.partitions.partition import GROUP, Partition
from atoll.benchmarks.partitions.pictures import pooled
from atoll.errors import AtollError, ConfigError
from atoll.plugins import build, names

_SIDE = 28


def main() -> None:
    """Deal out, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", choices=sorted(READERS), help="pooled, in this order")
    parser.add_argument("--partition", choices=names(GROUP), default="dirichlet")
    parser.add_argument("--option", action="append", default=[], metavar="NAME=YAML", help="of the partition")
    parser.add_argument("--samples", type=int, default=0, help="of each data set, drawn at random; 0 for all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    args = parser.parse_args()
    try:
        draw(args.data, args.partition, _options(args.option), args.samples, args.seed, args.out)
    except AtollError as error:
        parser.exit(error.exit_code, f"{error}\n")


def draw(
    data: Sequence[str], partition: str, options: Mapping[str, Any], samples: int, seed: int, folder: Path
) -> None:
    """Deal out, print who holds what, and write two pictures.

    Raises:
        AtollError: a data set or a partition that cannot be; says why.
    """
    pictures = pooled(data, samples=samples, side=_SIDE, seed=seed)
    made: Partition = build(GROUP, partition, options)
    parts = made.split(pictures.pool, seed)
    for part, counts in zip(parts, class_counts(parts, pictures.pool), strict=True):
        print(f"{part.silo}, stage {part.stage}, {part.look}: {len(part.indices)} samples, by class {counts.tolist()}")
    stem = f"{'-'.join(data)}-{partition}-{seed}"
    print(who_holds_what(parts, pictures.pool, pictures.classes, folder / f"{stem}-classes.png"))
    print(how_they_look(parts, pictures.pool, pictures.images, folder / f"{stem}-looks.png", seed))


def _options(texts: Sequence[str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for text in texts:
        name, found, value = text.partition("=")
        if not found:
            raise ConfigError(f"--option {text}: write NAME=VALUE, the value as in YAML")
        options[name] = yaml.safe_load(value)
    return options


if __name__ == "__main__":
    main()
