"""What differential privacy costs one silo in accuracy: ``python -m atoll.benchmarks.privacy.cost --help``.

The same expert on the same text with as many steps, without privacy (ε = inf) and under each ε. The learning rate is
chosen for every ε by validation loss, on the first seed; what is compared is loss on the test split. The choice itself
is not private, and the ε that is printed does not count the trainings that it took. Noise comes from the owner's
secret, so another run gives somewhat other figures. Finished trainings are kept and not done again.
"""

import argparse
import json
import math
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from atoll.benchmarks.provenance import provenance
from atoll.clients.node import Node, open_node
from atoll.clients.work import evaluate, train_expert
from atoll.demo.silos import write_silos
from atoll.experts.package import ExpertPackage, read_package
from atoll.experts.privacy_config import PrivacyConfig
from atoll.experts.training import ExpertConfig, TrainingConfig
from atoll.federation.units import Choice, EvaluateUnit, MemberRef, TrainUnit, Variant

_ANCHOR, _OWN = "anchor", "own"


@dataclass(frozen=True, slots=True)
class Settings:
    """What is run. ``steps`` of ``batch`` windows of ``length`` tokens; ``windows`` of the test split are measured."""

    silo: str = "hospital"
    anchor: str = "atoll-3m"
    kind: str = "ffn"
    epsilons: tuple[float, ...] = (math.inf, 8.0, 2.0)
    seeds: tuple[int, ...] = (0, 1, 2)
    rates: tuple[float, ...] = (8e-3, 1.6e-2, 3.2e-2)
    steps: int = 40
    batch: int = 16
    length: int = 64
    clip: float = 1.0
    windows: int = 200


@dataclass(frozen=True, slots=True)
class Found:
    """One training. Losses are in nats a token; ``epsilon`` was asked for, ``spent`` is the card's."""

    epsilon: float
    rate: float
    seed: int
    spent: float | None
    delta: float | None
    validation: float
    anchor: float
    test: float


def main() -> None:
    """Train, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("atoll-runs/privacy-cost"), help="a folder, kept")
    parser.add_argument("--out", type=Path, help="a JSON file with every figure")
    for name, value in asdict(Settings()).items():
        many = isinstance(value, tuple)
        some = value[0] if many else value
        parser.add_argument(f"--{name}", type=type(some), nargs="+" if many else None, default=value)
    args: dict[str, Any] = vars(parser.parse_args())
    work, out = args.pop("work"), args.pop("out")
    given: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in args.items()}
    settings = Settings(**given)
    found = run(settings, work)
    show(found, settings)
    if out:
        record = {"settings": asdict(settings), **provenance(), "found": [asdict(one) for one in found]}
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(record, indent=1) + "\n")


def run(settings: Settings, work: Path) -> list[Found]:
    """Every rate on the first seed, then the best of them on the others, for every ε."""
    node = open_node(_node(settings, work))
    first, *others = settings.seeds
    found = []
    with Progress() as progress:
        task = progress.add_task("training", total=len(settings.epsilons) * (len(settings.rates) + len(others)))
        for epsilon in settings.epsilons:
            tried = []
            for rate in settings.rates:
                tried.append(_train(node, settings, epsilon, rate, first))
                progress.advance(task)
            best = min(tried, key=lambda one: one.validation)
            found += tried
            for seed in others:
                found.append(_train(node, settings, epsilon, best.rate, seed))
                progress.advance(task)
    return found


def chosen(found: list[Found], epsilon: float) -> list[Found]:
    """The trainings under one ε at the rate that all of its seeds were trained with, or the best on validation."""
    mine = [one for one in found if one.epsilon == epsilon]
    best = min((one for one in mine if one.seed == mine[0].seed), key=lambda one: one.validation)
    return [one for one in mine if one.rate == best.rate]


def show(found: list[Found], settings: Settings) -> None:
    """Print a row for every ε."""
    table = Table(
        title=f"{settings.kind} expert of {settings.silo} on {settings.anchor}, {len(settings.seeds)} seeds: loss on "
        "the test split in nats a token, ± standard deviation of the mean"
    )
    for heading in ("ε", "ε spent", "δ", "learning rate", "anchor", "expert", "±", "gain", "share of the gain"):
        table.add_column(heading, justify="right")
    gains: dict[float, float] = {}
    for epsilon in settings.epsilons:
        runs = chosen(found, epsilon)
        tests = [one.test for one in runs]
        spread = f"{statistics.stdev(tests) / math.sqrt(len(tests)):.4f}" if len(tests) > 1 else "–"
        gains[epsilon] = runs[0].anchor - statistics.fmean(tests)
        spent = "–" if runs[0].spent is None else f"{max(one.spent or 0.0 for one in runs):.2f}"
        delta = "–" if runs[0].delta is None else f"{runs[0].delta:.1e}"
        cells = (spent, delta, f"{runs[0].rate:g}", f"{runs[0].anchor:.4f}", f"{statistics.fmean(tests):.4f}", spread)
        share = f"{gains[epsilon] / gains[settings.epsilons[0]]:.1%}"
        table.add_row(f"{epsilon:g}", *cells, f"{gains[epsilon]:.4f}", share)
    Console(width=140).print(table)


def _train(node: Node, settings: Settings, epsilon: float, rate: float, seed: int) -> Found:
    unit = TrainUnit(
        anchor=node.anchor.digest,
        expert=ExpertConfig(kind=settings.kind),
        training=TrainingConfig(
            steps=settings.steps,
            batch=settings.batch,
            accumulation=math.gcd(settings.batch, 8),
            learning_rate=rate,
            warmup=settings.steps // 10,
            evaluate_every=max(1, settings.steps // 3),
            validation_windows=64,
        ),
        router=Choice(name="top-k"),
        embedder="anchor-states",
        descriptor_documents=16,
        descriptor_counted=0,
        seed=seed,
        privacy=PrivacyConfig(epsilon=0.0 if math.isinf(epsilon) else epsilon, clip=settings.clip, chunk=16),
    )
    _, file = train_expert(node, unit, lambda done, total, note: None)
    package = read_package(file, trusted=None)
    spent, losses = package.card.privacy, _measure(node, package, file, settings.windows)
    # A private expert's card says nothing of the validation split; here the data is one's own.
    validation = _measure(node, package, file, 64, "validation")[_OWN]
    return Found(
        epsilon=epsilon,
        rate=rate,
        seed=seed,
        spent=spent.epsilon if spent else None,
        delta=spent.delta if spent else None,
        validation=validation,
        anchor=losses[_ANCHOR],
        test=losses[_OWN],
    )


def _measure(node: Node, package: ExpertPackage, file: Path, windows: int, split: str = "test") -> dict[str, float]:
    """Losses on a split, of the anchor and of the expert by itself."""
    nobody, owner = Choice(name=""), package.card.owner
    variants = [
        Variant(name=_ANCHOR, members=[], integrator=nobody, router=nobody),
        Variant(
            name=_OWN, members=[owner], integrator=Choice(name="flexolmo"), router=Choice(name="uniform"), alone=True
        ),
    ]
    blob = node.blobs.put(file.read_bytes())
    member = MemberRef(owner=owner, digest=package.digest, blob=blob, public_key=node.key.public.hex)
    unit = EvaluateUnit(anchor=node.anchor.digest, members=[member], variants=variants, windows=windows, split=split)
    return evaluate(node, unit, lambda done, total, note: None).loss


def _node(settings: Settings, work: Path) -> Path:
    from atoll.anchors.cache import cache_root
    from atoll.config import to_yaml
    from atoll.federation.node_config import NodeConfig
    from atoll.workloads.text import TextConfig

    (silo,) = [one for one in write_silos(cache_root() / "demo") if one.name == settings.silo]
    folder = work.resolve() / settings.silo
    folder.mkdir(parents=True, exist_ok=True)
    data = TextConfig(**{**silo.text_config(), "sequence_length": settings.length})  # type: ignore[arg-type]
    node = NodeConfig(owner=silo.name, domain=silo.domain, data=data, anchor=settings.anchor)
    (folder / "node.yaml").write_text(to_yaml(node))
    return folder


if __name__ == "__main__":
    main()
