"""``python -m atoll.benchmarks.integration``: train experts on the demo's silos over seeds, compare what is made of
them.

Finished work is kept in the work folder and not done again. Results are JSON, with commit, versions and hardware,
and a table.
"""

import argparse
import json
import os
import statistics
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from atoll.benchmarks.integration.arms import ARMS, OWN
from atoll.benchmarks.integration.silo import Job, evaluate, packages, train, write_nodes
from atoll.benchmarks.provenance import provenance

Losses = Mapping[str, Mapping[str, Mapping[str, float]]]
"""By seed, silo and model."""


def main() -> None:
    """Train, evaluate, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("atoll-runs/integration"))
    parser.add_argument("--anchor", default="atoll-3m")
    parser.add_argument("--arms", nargs="+", choices=sorted(ARMS), default=sorted(ARMS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--learning-rate", type=float, default=0.0, help="instead of the arm's own")
    parser.add_argument("--split", choices=["validation", "test"], default="validation")
    parser.add_argument("--windows", type=int, default=32)
    parser.add_argument("--parallel", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    silos = write_nodes(args.work, args.anchor)
    results = {}
    with ProcessPoolExecutor(args.parallel, mp_context=get_context("spawn")) as pool:
        for arm in args.arms:
            jobs = [
                Job(args.work, silo, ARMS[arm], seed, args.steps, args.split, args.windows, args.learning_rate)
                for seed in args.seeds
                for silo in silos
            ]
            list(track(pool.map(_train, jobs), f"{arm}: training", len(jobs)))
            found = list(track(pool.map(_evaluate, jobs), f"{arm}: evaluating", len(jobs)))
            results[arm] = {
                str(seed): {job.silo: loss for job, loss in zip(jobs, found, strict=True) if job.seed == seed}
                for seed in args.seeds
            }
            _print(arm, results[arm])
    if args.out:
        record = {"settings": {k: str(v) for k, v in vars(args).items()}, **provenance(), "loss": results}
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(record, indent=1) + "\n")


def _train(job: Job) -> None:
    train(job)


def _evaluate(job: Job) -> Mapping[str, float]:
    return evaluate(job, job.arm.models, packages(job))


def _print(arm: str, by_seed: Losses) -> None:
    seeds = list(by_seed)
    silos = list(by_seed[seeds[0]])
    names = list(by_seed[seeds[0]][silos[0]])
    table = Table(
        title=f"{arm}: loss in nats a token, mean over {len(seeds)} seeds ± standard deviation of the mean over silos"
    )
    for heading in ("model", *silos, "mean", "±", "gain kept"):
        table.add_column(heading)
    for name in names:
        means = [statistics.fmean(by_seed[seed][silo][name] for silo in silos) for seed in seeds]
        kept = min(_share(by_seed, silo, name) for silo in silos)
        cells = [f"{statistics.fmean(by_seed[seed][silo][name] for seed in seeds):.4f}" for silo in silos]
        spread = f"{statistics.stdev(means):.4f}" if len(means) > 1 else "–"
        table.add_row(name, *cells, f"{statistics.fmean(means):.4f}", spread, f"{kept:.1%}")
    Console(width=160).print(table)


def _share(by_seed: Losses, silo: str, name: str) -> float:
    """Share of the own expert's gain that a model keeps on one silo, mean over seeds."""
    shares: Sequence[float] = [
        (found[silo]["anchor"] - found[silo][name]) / (found[silo]["anchor"] - found[silo][OWN])
        for found in by_seed.values()
    ]
    return statistics.fmean(shares)
