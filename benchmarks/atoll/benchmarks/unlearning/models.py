"""What the study compares: experts trained apart, a mixture of them, and joint models; each trained once a seed."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from filelock import FileLock
from torch import nn

from atoll.benchmarks.unlearning.silos import LEAVES
from atoll.clients.node import Node
from atoll.clients.work import train_expert
from atoll.continual.baseline import World
from atoll.continual.budget import Budget
from atoll.experts.package import ExpertPackage, read_package
from atoll.experts.training import ExpertConfig, TrainingConfig
from atoll.federation.units import Choice, TrainUnit
from atoll.mixture import Mixture, Router
from atoll.plugins import build

ROUTER = Choice(name="top-k")
EXPERT = ExpertConfig(kind="ffn", coordinated=True)


@dataclass(frozen=True, eq=False)
class Models:
    """Of one seed.

    Attributes:
        folder: Keeps what was trained.
        nodes: By owner.
        steps: Optimizer steps for each owner's data.
        seed: Of training.
    """

    folder: Path
    nodes: dict[str, Node]
    steps: int
    seed: int

    @property
    def others(self) -> list[str]:
        """Owners that stay."""
        return [owner for owner in self.nodes if owner != LEAVES]

    def anchor(self) -> nn.Module:
        """The anchor's model."""
        return self.nodes[LEAVES].model().eval()

    def mixture(self, owners: Sequence[str]) -> Mixture:
        """Integrated from these owners' experts, with nobody's data."""
        node = self.nodes[LEAVES]
        model = self.anchor()
        experts = [self._experts[owner] for owner in owners]
        router: Router = build("atoll.routers", ROUTER.name, ROUTER.options)
        integrator = build("atoll.integrators", "flexolmo", {})
        found: Mixture = integrator.integrate(model, node.frame(model, experts[0].card.sites), experts, router)
        return found.eval()

    def joint(self, owners: Collection[str]) -> nn.Module:
        """One model of these owners' data together, with everybody's steps."""
        kept = [owner for owner in self.nodes if owner in owners]
        path = self.folder / f"joint-{'-'.join(kept)}-{self.seed}.pt"
        model = self.anchor().float().requires_grad_(True)
        with FileLock(f"{path}.lock"):
            if not path.exists():
                torch.save(self._trained(kept), path)
        model.load_state_dict(torch.load(path, weights_only=True))
        return model.eval()

    def _trained(self, owners: Sequence[str]) -> dict[str, torch.Tensor]:
        found: dict[str, torch.Tensor] = {}

        def observe(stage: int, model: nn.Module, owner: str | None = None) -> None:
            found.update({name: value.detach().clone() for name, value in model.state_dict().items()})

        world = World(
            anchor=self.nodes[LEAVES].anchor.digest,
            model=lambda: self.anchor().float(),
            stages=[[owner] for owner in owners],
            workloads={owner: self.nodes[owner].workload for owner in owners},
            training=Budget(steps=self.steps, batch=8, learning_rate=1e-3, rounds=1),
            seed=self.seed,
        )
        build("atoll.baselines", "joint", {}).run(world, observe)
        return found

    @cached_property
    def _experts(self) -> dict[str, ExpertPackage]:
        found = {}
        for owner, node in self.nodes.items():
            with FileLock(self.folder / f"{owner}.lock"):
                _, package = train_expert(node, self._unit(node), lambda done, total, note: None)
            found[owner] = read_package(package, trusted=node.key.public)
        return found

    def _unit(self, node: Node) -> TrainUnit:
        return TrainUnit(
            anchor=node.anchor.digest,
            expert=EXPERT,
            training=training(self.steps),
            router=ROUTER,
            embedder="anchor-states",
            descriptor_documents=400,
            descriptor_counted=0,
            seed=self.seed,
        )


def training(steps: int) -> TrainingConfig:
    """Of an expert, in so few passes over its documents that it still learns something of others like them."""
    return TrainingConfig(
        steps=steps, batch=8, learning_rate=8e-3, evaluate_every=max(1, steps // 6), checkpoint_every=steps, patience=0
    )
