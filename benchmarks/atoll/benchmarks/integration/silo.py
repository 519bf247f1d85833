"""One silo of the demo's four: trains an expert under an arm, and measures models on its own held-out text.

What is trained is kept in the silo's folder and not trained again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from atoll.benchmarks.integration.arms import Arm, Model, own
from atoll.experts.training import TrainingConfig


@dataclass(frozen=True)
class Job:
    """One silo of one arm and seed.

    Attributes:
        work: Folder of all silos.
        silo: Name.
        arm: How experts are trained.
        seed: Of the training.
        steps: Optimizer steps.
        split: What is measured.
        windows: Windows at most.
        learning_rate: Instead of the arm's own; 0 for that.
    """

    work: Path
    silo: str
    arm: Arm
    seed: int
    steps: int
    split: str
    windows: int
    learning_rate: float = 0.0


def write_nodes(work: Path, anchor: str) -> list[str]:
    """A folder for each of the demo's institutions, with its text; their names.

    Raises:
        DataError: a package with text is missing; the message has the command.
    """
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


def packages(job: Job) -> dict[str, Path]:
    """Every silo's expert of the job's arm and seed, trained where it was not yet, by owner."""
    silos = sorted(path.parent.name for path in job.work.glob("*/node.yaml"))
    return {silo: train(replace(job, silo=silo)) for silo in silos}


def train(job: Job) -> Path:
    """Train one expert; its package."""
    from atoll.clients.node import open_node
    from atoll.clients.work import train_expert
    from atoll.federation.units import TrainUnit

    node = open_node((job.work / job.silo).resolve())
    unit = TrainUnit(
        anchor=node.anchor.digest,
        expert=job.arm.expert,
        training=_training(job.learning_rate or job.arm.learning_rate, job.steps),
        router=job.arm.training_router,
        embedder="anchor-states",
        descriptor_documents=400,
        descriptor_counted=400,
        seed=job.seed,
    )
    _, package = train_expert(node, unit, lambda done, total, note: None)
    return package


def evaluate(job: Job, models: Sequence[Model], experts_at: Mapping[str, Path]) -> Mapping[str, float]:
    """Losses of one silo, in nats a token, under the anchor, its own expert alone and these models of all experts.

    Args:
        job: The silo.
        models: What is made of the experts.
        experts_at: Packages by owner.
    """
    import torch

    from atoll.clients.evaluate import Evaluator
    from atoll.clients.node import open_node
    from atoll.experts.package import read_package
    from atoll.federation.units import Choice, EvaluateUnit, Variant

    experts = {owner: read_package(path, trusted=None) for owner, path in experts_at.items()}
    node = open_node((job.work / job.silo).resolve())
    torch.set_num_threads(1)
    owners = sorted(experts)
    anchor = Variant(name="anchor", members=[], integrator=Choice(name=""), router=Choice(name=""))
    variants = [anchor, own(job.arm.training_router, owners), *(model.variant(owners) for model in models)]
    unit = EvaluateUnit(anchor=node.anchor.digest, members=[], variants=variants, split=job.split, windows=job.windows)
    model = node.model()
    frame = node.frame(model, experts[job.silo].card.sites)
    evaluator = Evaluator(model, frame, experts, node.workload, unit, job.work / job.silo / "states")
    return dict(evaluator.run(job.silo, lambda done, total, note: None).loss)


def _training(learning_rate: float, steps: int) -> TrainingConfig:
    return TrainingConfig(
        steps=steps, learning_rate=learning_rate, evaluate_every=max(1, steps // 4), validation_windows=16
    )
