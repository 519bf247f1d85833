"""Train the same expert in more or fewer of the anchor's last layers; report seconds and losses."""

import argparse
import json
import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from atoll.benchmarks.provenance import provenance
from atoll.experts.training import ExpertConfig, TrainingConfig


@dataclass(frozen=True)
class Found:
    """One training run. ``seconds`` are wall time with all that belongs to it; losses are in nats a token."""

    layers: int
    seed: int
    seconds: float
    anchor: float
    expert: float


def main() -> None:
    """Train, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("atoll-runs/layers"))
    parser.add_argument("--anchor", default="smollm2")
    parser.add_argument("--silo", default="hospital")
    parser.add_argument("--layers", nargs="+", type=int, default=[6, 30])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    jobs = [(layers, seed) for seed in args.seeds for layers in args.layers]
    found = [
        _train(args.work, args.anchor, args.silo, layers, seed, args.steps, args.threads)
        for layers, seed in track(jobs, "training")
    ]
    _print(found)
    if args.out:
        settings = {name: str(value) for name, value in vars(args).items()}
        record = {"settings": settings, **provenance(), "found": [asdict(one) for one in found]}
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(record, indent=1) + "\n")


def _train(work: Path, anchor: str, silo: str, layers: int, seed: int, steps: int, threads: int) -> Found:
    """One expert, in a node folder of its own so that nothing computed for another run is used."""
    import torch

    from atoll.clients.node import open_node
    from atoll.clients.work import train_expert
    from atoll.experts.package import read_package
    from atoll.federation.units import Choice, TrainUnit

    folder = _node(work / f"{silo}-{layers}-{seed}", anchor, silo, threads)
    done = folder / "found.json"
    if done.exists():
        return Found(**json.loads(done.read_text()))
    node = open_node(folder.resolve())
    torch.set_num_threads(threads)
    unit = TrainUnit(
        anchor=node.anchor.digest,
        expert=ExpertConfig(kind="lora", last_layers=layers, rank=16, alpha=32.0),
        training=TrainingConfig(
            steps=steps, batch=4, learning_rate=1e-3, warmup=4, evaluate_every=steps, validation_windows=32
        ),
        router=Choice(name="top-k"),
        embedder="anchor-states",
        descriptor_documents=32,
        descriptor_counted=400,
        seed=seed,
    )
    began = time.monotonic()
    _, package = train_expert(node, unit, lambda done, total, note: None)
    seconds = time.monotonic() - began
    metrics = read_package(package, trusted=None).card.metrics
    found = Found(layers, seed, seconds, metrics["validation_loss_anchor"], metrics["validation_loss_expert"])
    done.write_text(json.dumps(asdict(found)))
    return found


def _node(folder: Path, anchor: str, silo: str, threads: int) -> Path:
    from atoll.anchors.cache import cache_root
    from atoll.config import to_yaml
    from atoll.demo.silos import write_silos
    from atoll.federation.node_config import NodeConfig
    from atoll.workloads.text import TextConfig

    (chosen,) = [one for one in write_silos(cache_root() / "demo") if one.name == silo]
    folder.mkdir(parents=True, exist_ok=True)
    data = TextConfig(**{**chosen.text_config(), "sequence_length": 128})  # type: ignore[arg-type]
    node = NodeConfig(owner=silo, domain=chosen.domain, data=data, anchor=anchor, threads=threads)
    (folder / "node.yaml").write_text(to_yaml(node))
    return folder


def _print(found: list[Found]) -> None:
    table = Table(
        title="LoRA in the last layers: validation loss in nats a token, mean ± standard deviation over seeds"
    )
    for heading in ("layers", "minutes", "anchor", "expert", "±", "gain"):
        table.add_column(heading, justify="right")
    for layers in sorted({one.layers for one in found}):
        runs = [one for one in found if one.layers == layers]
        losses = [one.expert for one in runs]
        spread = f"{statistics.stdev(losses):.4f}" if len(losses) > 1 else "–"
        anchor, expert = statistics.fmean(one.anchor for one in runs), statistics.fmean(losses)
        minutes = statistics.fmean(one.seconds for one in runs) / 60
        cells = (f"{minutes:.1f}", f"{anchor:.4f}", f"{expert:.4f}", spread, f"{anchor - expert:.4f}")
        table.add_row(str(layers), *cells)
    Console(width=100).print(table)
