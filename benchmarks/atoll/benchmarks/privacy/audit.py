"""``python -m atoll.benchmarks.privacy.audit``: does the audit catch what it must, and what does privacy cost?

The same expert of one demo silo, with canaries in its documents, is trained as usual, by heart (the positive control),
privately, and not at all (the negative control). Each goes through the audit as an owner makes it for a release, and
the canaries are looked for in the model and in the published replay. Trained experts are kept in the work folder.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from atoll.benchmarks.privacy.arms import Arm, arms
from atoll.benchmarks.privacy.planted import Planting, write_silo
from atoll.benchmarks.provenance import provenance
from atoll.coordinator.report.privacy import INTERVALS, privacy_grid
from atoll.errors import DataError
from atoll.federation.units import Choice, EvaluateUnit, MemberRef, Variant
from atoll.privacy.audit_config import AuditConfig
from atoll.privacy.extraction import ExtractionSettings

_REPLAY = Choice(name="autoregressive")
_EXTRACTION = ExtractionSettings(prefixes=24, continuation=96)
_FURTHER = {
    "loss on held-out documents": ("loss", ".3f"),
    "the anchor's": ("anchor", ".3f"),
    "step whose weights were kept": ("step", ",.0f"),
    "ε of the training": ("epsilon", ".2f"),
    "canaries, exposure in bits (1.44 by chance)": ("exposure", ".2f"),
    "canaries given back": ("extraction_canaries", ".1%"),
    "canaries by loss, AUC": ("membership_canaries_auc", ".3f"),
    "canaries from published replay, AUC": ("membership_canaries_replay_auc", ".3f"),
}


def main() -> None:
    """Train, audit, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("atoll-runs/privacy"))
    parser.add_argument("--silo", default="hospital")
    parser.add_argument("--steps", type=int, default=120, help="of the usual training")
    parser.add_argument("--by-heart", type=int, default=300, help="steps of the training that must be caught")
    parser.add_argument("--epsilon", type=float, default=8.0, help="of the private training")
    parser.add_argument("--samples", type=int, default=300, help="members and others, at most")
    parser.add_argument("--replayed", type=int, default=120)
    parser.add_argument("--canaries", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    planting = Planting(canaries=args.canaries)
    config = AuditConfig(samples=args.samples, replayed=args.replayed, extraction=_EXTRACTION, seed=args.seed)
    console = Console(width=160)
    found: dict[str, dict[str, float]] = {}
    for number, (name, arm) in enumerate(arms(args.steps, args.by_heart, args.epsilon).items()):
        with console.status(f"{name}: training and auditing"):
            found[name] = measure(args.work / f"arm-{number}", args.silo, arm, planting, config, seed=args.seed)
    console.print(_table(found))
    if args.out:
        settings = {key: str(value) for key, value in vars(args).items()}
        record = {"settings": settings, "planting": asdict(planting), **provenance(), "figures": found}
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def measure(
    folder: Path, silo: str, arm: Arm, planting: Planting, config: AuditConfig, *, seed: int
) -> dict[str, float]:
    """Train one expert and audit the release of it alone, as its owner would.

    Args:
        folder: The owner's.
        silo: Name of a demo silo.
        arm: How it is trained.
        planting: The canaries.
        config: The audit.
        seed: Of everything random but what privacy rests on.

    Raises:
        DataError: the positive control is none.
    """
    from atoll.benchmarks.privacy.caught import caught
    from atoll.clients.audit.published import Source, publish
    from atoll.clients.evaluate import Evaluator
    from atoll.clients.node import Node
    from atoll.clients.prior import owners_seed
    from atoll.clients.work import evaluate, train_expert
    from atoll.experts.package import read_package
    from atoll.replay import Teacher
    from atoll.strategies.replay.autoregressive import Autoregressive
    from atoll.workloads.text import Text

    secrets = write_silo(folder, silo, planting, train=arm.train, seed=seed)
    node = Node(folder.resolve())
    reply, file = train_expert(node, arm.unit(node.anchor.digest, _REPLAY, seed), _quiet)
    node.blobs.put(file.read_bytes())
    package = read_package(file, trusted=node.key.public)
    step = int(package.card.training["best_step"])
    if arm.control and step < arm.training.steps:
        raise DataError(
            f"the control was to learn by heart, but the weights of step {step} did best on other documents and were "
            "kept; lower --by-heart"
        )
    member = MemberRef(owner=silo, digest=reply.digest, blob=reply.blob, public_key=node.key.public.hex)
    nothing = Choice(name="")
    variants = [
        Variant(name=config.release, members=[silo], integrator=Choice(name="soup"), router=Choice(name="top-k")),
        Variant(name="anchor", members=[], integrator=nothing, router=nothing),
    ]
    unit = EvaluateUnit(
        anchor=node.anchor.digest, members=[member], variants=variants, windows=64, audit=config, replay=_REPLAY
    )
    said = evaluate(node, unit, _quiet)
    model = node.model()
    frame = node.frame(model, package.card.sites)
    evaluator = Evaluator(model, frame, {silo: package}, node.workload, unit, folder / "states")
    release = Teacher(evaluator.build(variants[0], silo)[0].eval())
    source = Source(release, (silo,), silo, package.prior)
    published = publish(
        Autoregressive(), source, node.workload, config.replayed, owners_seed(node.key, "canaries") % 2**63
    )
    assert isinstance(node.workload, Text)
    privacy = package.card.privacy
    return {
        **said.audit,
        **caught(release, node.workload, secrets, published, seed),
        "loss": said.loss[config.release],
        "anchor": said.loss["anchor"],
        "step": float(step),
        **({"epsilon": privacy.epsilon} if privacy else {}),
    }


def _quiet(done: int, total: int, note: str) -> None:
    """The table says it all."""


def _table(found: dict[str, dict[str, float]]) -> Table:
    grid = privacy_grid(found)
    table = Table(title="Privacy, as measured", caption=INTERVALS, title_justify="left", caption_justify="left")
    names = grid.columns[1:]
    for heading in grid.columns:
        table.add_column(heading)
    for row in grid.rows:
        table.add_row(*row)
    table.add_section()
    for title, (name, form) in _FURTHER.items():
        table.add_row(title, *(_cell(found[arm], name, form) for arm in names))
    return table


def _cell(figures: dict[str, float], name: str, form: str) -> str:
    value = figures.get(name, figures.get(f"{name}_rate"))
    if value is None:
        return "–"
    low, high = figures.get(f"{name}_low"), figures.get(f"{name}_high")
    return format(value, form) if low is None or high is None else f"{value:{form}} [{low:{form}}, {high:{form}}]"


if __name__ == "__main__":
    main()
