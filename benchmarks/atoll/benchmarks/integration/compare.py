"""``python -m atoll.benchmarks.integration``: train experts on the demo's silos over seeds, compare what is made of
them.

Finished work is kept in the work folder and not done again. Results are JSON, with commit, versions and hardware,
and a table.
"""

import argparse
import json
import os
import statistics
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from atoll.benchmarks.integration.arms import ARMS, OWN, own
from atoll.benchmarks.provenance import provenance
from atoll.experts.training import TrainingConfig


@dataclass(frozen=True)
class Job:
    """One silo of one arm and seed."""

    work: Path
    silo: str
    anchor: str
    arm: str
    seed: int
    steps: int
    split: str
    windows: int
    learning_rate: float = 0.0


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
    silos = _write_nodes(args.work, args.anchor)
    results = {}
    with ProcessPoolExecutor(args.parallel, mp_context=get_context("spawn")) as pool:
        for arm in args.arms:
            jobs = [
                Job(args.work, silo, args.anchor, arm, seed, args.steps, args.split, args.windows, args.learning_rate)
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


def _write_nodes(work: Path, anchor: str) -> list[str]:
    from atoll.anchors.cache import cache_root
    from atoll.config import to_yaml
    from atoll.demo.silos import write_silos
    from atoll.federation.node_config import NodeConfig
    from atoll.workloads.text import TextConfig

    names = []
    for silo in write_silos(cache_root() / "demo"):
        folder = work / silo.name
        folder.mkdir(parents=True, exist_ok=True)
        data = TextConfig(**silo.text_config())  # type: ignore[arg-type]
        config = NodeConfig(owner=silo.name, domain=silo.domain, data=data, anchor=anchor, licence=silo.licence)
        (folder / "node.yaml").write_text(to_yaml(config))
        names.append(silo.name)
    return names


def _train(job: Job) -> tuple[str, str]:
    """Train one expert; returns its package and its owner's key."""
    from atoll.clients.node import open_node
    from atoll.clients.work import train_expert
    from atoll.federation.units import TrainUnit

    node = open_node((job.work / job.silo).resolve())
    arm = ARMS[job.arm]
    unit = TrainUnit(
        anchor=node.anchor.digest,
        expert=arm.expert,
        training=_training(job.learning_rate or arm.learning_rate, job.steps),
        router=arm.training_router,
        embedder="anchor-states",
        descriptor_documents=400,
        descriptor_counted=400,
        seed=job.seed,
    )
    _, package = train_expert(node, unit, lambda done, total, note: None)
    return str(package), node.key.public.hex


def _training(learning_rate: float, steps: int) -> TrainingConfig:
    return TrainingConfig(
        steps=steps, learning_rate=learning_rate, evaluate_every=max(1, steps // 4), validation_windows=16
    )


def _evaluate(job: Job) -> dict[str, float]:
    """Losses of one silo under every model of the arm; the experts have all been trained by now."""
    import torch

    from atoll.clients.evaluate import Evaluator
    from atoll.clients.node import open_node
    from atoll.experts.package import read_package
    from atoll.federation.units import Choice, EvaluateUnit, Variant

    arm = ARMS[job.arm]
    experts = {}
    for folder in sorted(path.parent for path in job.work.glob("*/node.yaml")):
        package, _ = _train(Job(**{**asdict(job), "work": job.work, "silo": folder.name}))
        experts[folder.name] = read_package(Path(package), trusted=None)
    node = open_node((job.work / job.silo).resolve())
    torch.set_num_threads(1)
    owners = sorted(experts)
    anchor = Variant(name="anchor", members=[], integrator=Choice(name=""), router=Choice(name=""))
    models = [anchor, own(arm.training_router, owners), *(model.variant(owners) for model in arm.models)]
    unit = EvaluateUnit(anchor=node.anchor.digest, members=[], variants=models, split=job.split, windows=job.windows)
    model = node.model()
    frame = node.frame(model, experts[job.silo].card.sites)
    evaluator = Evaluator(model, frame, experts, node.workload, unit, job.work / job.silo / "states")
    return dict(evaluator.run(job.silo, lambda done, total, note: None).loss)


def _print(arm: str, by_seed: dict[str, dict[str, dict[str, float]]]) -> None:
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


def _share(by_seed: dict[str, dict[str, dict[str, float]]], silo: str, name: str) -> float:
    """Share of the own expert's gain that a model keeps on one silo, mean over seeds."""
    shares: Sequence[float] = [
        (found[silo]["anchor"] - found[silo][name]) / (found[silo]["anchor"] - found[silo][OWN])
        for found in by_seed.values()
    ]
    return statistics.fmean(shares)
