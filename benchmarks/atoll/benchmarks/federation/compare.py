"""What each engine costs beside the work that it carries: ``python -m atoll.benchmarks.federation --help``.

A work unit is one message that makes a silo train a model of one megabyte for a few steps, and the trained model that
comes back. A round is a unit for every silo, all handed over at once. The overhead of a unit is

    (wall time of the round - seconds that silos worked, summed / silos that work at once) / units

where a silo's work is measured inside it, from the message in its hands to the reply in its hands, and as many silos
work at once as there are cores, or as there are silos where those are fewer. So it is what the engine adds to a round
in which the cores do nothing but train, spread over its units: turning messages into bytes and back, carrying, waiting,
and idle cores at the end. What an engine takes from the silos' own cores while they train makes the work longer and is
not seen. Bytes are those of the messages as Flower's protobuf. Starting an engine, until every silo has answered once,
is told apart. Engines run in turn, in an order of their own for each number of silos.

Flower's simulation looks for messages and for replies ten times a second. A round pays for that once, however many
silos it has, so the overhead of a unit falls with their number; what each megabyte costs to become bytes, and to be
read again, stays. The embedded engine has only the latter, and a process for each silo: start and memory grow with
their number, which the simulation's do not. The deployment starts a SuperNode and a process for every silo and speaks
TLS; SuperNode looks for messages and replies a few times a second, one message at a time: that is what a unit costs.
"""

import argparse
import json
import os
import random
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import fmean, stdev

from rich.console import Console
from rich.progress import track
from rich.table import Table

from atoll.benchmarks.federation.engines import EMBEDDED, ENGINES, MOST, PLAIN, SIMULATION, Load
from atoll.benchmarks.federation.session import Session
from atoll.benchmarks.provenance import provenance

TARGET = 0.1
"""Of Flower simulation's overhead, the most that the embedded engine's should be."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What is run."""

    engines: tuple[str, ...] = tuple(ENGINES)
    silos: tuple[int, ...] = (4, 16, 64)
    repeats: int = 5
    steps: int = 20
    parallel: int = os.cpu_count() or 1
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """One engine with one number of silos. Seconds and bytes are for one work unit, but for the start's.

    Attributes:
        engine: Its name.
        silos: How many.
        startup_seconds: Until every silo has answered once.
        work_seconds: Mean over units, measured inside.
        overhead_seconds: By repeat.
        bytes_out: To the silo.
        bytes_in: From the silo.
    """

    engine: str
    silos: int
    startup_seconds: float
    work_seconds: float
    overhead_seconds: tuple[float, ...]
    bytes_out: float
    bytes_in: float


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    defaults = Settings()
    parser.add_argument("--engines", nargs="+", choices=list(ENGINES), default=list(defaults.engines))
    parser.add_argument("--silos", type=int, nargs="+", default=list(defaults.silos))
    for name in ("repeats", "steps", "parallel", "seed"):
        parser.add_argument(f"--{name}", type=int, default=getattr(defaults, name))
    parser.add_argument("--out", type=Path, help="JSON file for the numbers")
    args = vars(parser.parse_args())
    out: Path | None = args.pop("out")
    settings = Settings(**{**args, "engines": tuple(args["engines"]), "silos": tuple(args["silos"])})
    load_before = os.getloadavg()[0]
    rows = run(settings)
    console = Console(width=120)
    console.print(table(rows))
    for sentence in verdicts(rows):
        console.print(sentence)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(report(settings, rows, load_before), indent=1) + "\n")


def run(settings: Settings) -> list[Row]:
    """Start each engine once for each number of silos, and time ``repeats`` rounds on it."""
    rows = []
    seeds = range(settings.seed, settings.seed + settings.repeats)
    jobs = [
        (silos, engine)
        for silos in settings.silos
        for engine in random.Random(silos).sample(settings.engines, len(settings.engines))
        if silos <= MOST.get(engine, silos)
    ]
    for silos, engine in track(jobs, "running", console=Console(stderr=True)):
        found = ENGINES[engine](Load(silos, settings.parallel, seeds, settings.steps))
        rows.append(_row(engine, silos, found, settings.parallel))
    return sorted(rows, key=lambda row: (row.silos, settings.engines.index(row.engine)))


def _row(engine: str, silos: int, found: Session, parallel: int) -> Row:
    return Row(
        engine=engine,
        silos=silos,
        startup_seconds=found.startup,
        work_seconds=fmean(seconds for one in found.rounds for seconds in one.work),
        overhead_seconds=tuple(one.overhead(parallel) for one in found.rounds),
        bytes_out=fmean(one.bytes_out for one in found.rounds) / silos,
        bytes_in=fmean(one.bytes_in for one in found.rounds) / silos,
    )


def table(rows: list[Row]) -> Table:
    """The results."""
    view = Table(title="Overhead of a work unit: mean ± standard deviation over repeats")
    view.add_column("silos", justify="right")
    view.add_column("engine")
    for heading in ("start, s", "work, ms", "overhead, ms", "±", "MB to silo", "MB back"):
        view.add_column(heading, justify="right")
    previous = None
    for row in rows:
        if previous not in (None, row.silos):
            view.add_section()
        previous = row.silos
        overheads = row.overhead_seconds
        view.add_row(
            str(row.silos),
            row.engine,
            f"{row.startup_seconds:.1f}",
            f"{row.work_seconds * 1e3:.1f}",
            f"{fmean(overheads) * 1e3:.1f}",
            f"{stdev(overheads) * 1e3:.1f}" if len(overheads) > 1 else "–",
            f"{row.bytes_out / 1e6:.2f}",
            f"{row.bytes_in / 1e6:.2f}",
        )
    return view


def ratios(rows: list[Row]) -> dict[str, dict[int, float]]:
    """The embedded engine's mean overhead as a share of another's, by the other's name and the number of silos."""
    mean = {(row.engine, row.silos): fmean(row.overhead_seconds) for row in rows}
    return {
        other: {
            silos: mean[EMBEDDED, silos] / mean[other, silos]
            for engine, silos in mean
            if engine == EMBEDDED and (other, silos) in mean
        }
        for other in (SIMULATION, PLAIN)
    }


def verdicts(rows: list[Row]) -> list[str]:
    """Whether the embedded engine keeps its target, a sentence for each comparison."""
    return [
        f"{'yes' if share <= TARGET else 'no'}: with {silos} silos the embedded engine's overhead is {share:.2f} of "
        f"that of {other}, where at most {TARGET} is wanted"
        for other, shares in ratios(rows).items()
        for silos, share in shares.items()
    ]


def report(settings: Settings, rows: list[Row], load_before: float) -> dict[str, object]:
    """Everything that one needs to judge the numbers."""
    return {
        "settings": asdict(settings),
        **provenance(),
        **{name: _version(name) for name in ("flwr", "ray")},
        "load": load_before,
        "rows": [asdict(row) for row in rows],
        "embedded_as_share_of": ratios(rows),
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
