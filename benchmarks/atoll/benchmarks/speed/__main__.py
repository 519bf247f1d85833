"""``python -m atoll.benchmarks.speed``: the tables of docs/benchmarks/speed.md.

A ratio is how many times as fast Atoll is: the median over rounds of the ratio within each, and its quartiles.
"""

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from atoll.benchmarks.speed import page
from atoll.benchmarks.speed.case import ACTIONS, KINDS

CLOCKS: dict[str, page.Clock] = {"wall": time.perf_counter, "cpu": time.process_time}
PARTS = ("routers", "models", "others", "memory", "scale")


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--kinds", nargs="+", choices=tuple(KINDS), default=tuple(KINDS))
    parser.add_argument("--repeats", type=int, default=7, help="rounds in which all take turns")
    parser.add_argument("--most", type=int, default=1000, help="experts, in the part scale")
    parser.add_argument(
        "--clock", choices=tuple(CLOCKS), default="wall", help="cpu: this process's own time, for a machine with others"
    )
    args = parser.parse_args()
    clock = CLOCKS[args.clock]
    versions = ", ".join(f"{name} {version(name)}" for name in ("atoll", "torch", "transformers", "peft"))
    print(f"{versions}; {page.machine()}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        if "routers" in args.parts:
            print(
                "\n".join(["\nmicroseconds a token of routing\n", *page.routers(args.repeats, _tell, clock)]),
                flush=True,
            )
        for part, kind in itertools.product([part for part in args.parts if part != "routers"], args.kinds):
            for line in _part(part, kind, args, clock, Path(folder)):
                print(line, flush=True)


def _part(part: str, kind: str, args: argparse.Namespace, clock: page.Clock, folder: Path) -> Iterator[str]:
    if part == "models":
        for action in ACTIONS:
            yield f"\n{kind}, {action}\n"
            yield from page.models(kind, action, args.repeats, _tell, clock)
        return
    yield f"\n{kind}, {part}\n"
    if part == "others":
        yield from page.others(kind, args.repeats, _tell, clock)
    elif part == "memory":
        yield from page.memory(kind, _tell)
    else:
        yield from page.scale(kind, folder, _tell, args.most)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
