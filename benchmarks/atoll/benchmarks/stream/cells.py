"""The cells of a suite: one stream each, run by ``atoll run`` in a process of its own, and never twice."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from rich.progress import Progress

from atoll.config import to_yaml
from atoll.coordinator.config import RunConfig
from atoll.coordinator.stream.results import StreamResults
from atoll.errors import FederationError

_FILE, _DONE = "suite.yaml", "suite.done"


@dataclass(frozen=True, slots=True)
class Cell:
    """One stream of a suite.

    Attributes:
        variant: Of the method.
        seed: Of everything random.
    """

    variant: str
    seed: int


def run_cells(cells: Mapping[Cell, RunConfig], root: Path, jobs: int) -> dict[Cell, StreamResults]:
    """Run what is not done yet.

    Args:
        cells: Configurations; their output folders are set here.
        root: Gets a folder for each cell.
        jobs: Streams at the same time; each computes with one thread.

    Raises:
        FederationError: a stream failed; its log says why, and the others are kept.
    """
    with Progress() as progress, ThreadPoolExecutor(jobs) as pool:
        task = progress.add_task("streams", total=len(cells))

        def one(cell: Cell) -> StreamResults:
            found = _run(cells[cell], root / f"{cell.variant.replace(' ', '-')}-{cell.seed}")
            progress.advance(task)
            return found

        return dict(zip(cells, pool.map(one, cells), strict=True))


def by_variant(found: Mapping[Cell, StreamResults]) -> dict[str, list[StreamResults]]:
    """Results over seeds."""
    grouped: dict[str, list[StreamResults]] = {}
    for cell, results in found.items():
        grouped.setdefault(cell.variant, []).append(results)
    return grouped


def grid(
    variants: Mapping[str, Callable[[RunConfig], RunConfig]], seeds: Sequence[int], base: Callable[[int], RunConfig]
) -> dict[Cell, RunConfig]:
    """Every variant with every seed, those of one seed after the other's."""
    return {Cell(name, seed): change(base(seed)) for seed in seeds for name, change in variants.items()}


def _run(config: RunConfig, folder: Path) -> StreamResults:
    text = to_yaml(replace(config, output=str(folder.absolute() / "run")))
    mark = hashlib.sha256(text.encode()).hexdigest()
    done, results = folder / _DONE, folder / "run" / "results.json"
    if not (done.exists() and done.read_text() == mark and results.exists()):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _FILE).write_text(text, encoding="utf-8")
        with (folder / "log.txt").open("a", encoding="utf-8") as log:
            code = subprocess.run(
                [sys.executable, "-m", "atoll.cli.app", "run", str(folder / _FILE)],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                check=False,
            ).returncode
        if code:
            raise FederationError(f"a stream ended with exit code {code}: {folder / 'log.txt'} says why")
        done.write_text(mark)
    return StreamResults.load(results)
