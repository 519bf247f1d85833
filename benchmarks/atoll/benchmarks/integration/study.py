"""Study ``merging``: what can be made of experts that were trained apart, as FlexOlmo's tables compare it (Shi et al.
2025, arXiv 2507.07024, tables 1 and 2), on the demo's four institutions.
"""

import hashlib
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, cast, final

from filelock import FileLock
from torch import nn

from atoll.anchors import cache_root, resolve
from atoll.benchmarks.integration.arms import ARMS, Model
from atoll.benchmarks.integration.silo import Job, evaluate, train, write_nodes
from atoll.benchmarks.suites.figure import Figures, lower
from atoll.benchmarks.suites.outcome import Outcome
from atoll.benchmarks.suites.study import Study, Work
from atoll.continual.baseline import World, measure
from atoll.continual.budget import Budget
from atoll.errors import ConfigError
from atoll.plugins import build
from atoll.workloads.workload import Split

_METHODS = {
    "anchor": "the public model",
    "model": "an integrator and a router over all experts of an arm; or `only` one owner's expert",
    "unrestricted": "one whole model, trained on everybody's data in one place with everybody's steps",
}


@final
@dataclass(frozen=True)
class Merging(Study):
    """Experts are trained once for every arm and seed, and kept in the cache; a cell measures one model of them.

    Attributes:
        anchor: The anchor.
        steps: Optimizer steps of an expert.
        windows: Held-out windows of a silo at most.
        split: What is measured.
    """

    name: ClassVar[str] = "merging"
    anchor: str = "atoll-3m"
    steps: int = 60
    windows: int = 24
    split: str = "test"

    def methods(self) -> Mapping[str, str]:
        """Three."""
        return _METHODS

    def figures(self) -> Figures:
        """Losses: the mean over silos, the worst, and each."""
        return Figures(metrics=lower("loss", "loss/worst", "loss/*"))

    def run(self, work: Work) -> Outcome:
        """Loss in nats a token, mean over silos and each."""
        losses = self._unrestricted(work) if work.method.name == "unrestricted" else self._model(work)
        found = {f"loss/{silo}": loss for silo, loss in losses.items()}
        worst = max(losses.values())
        metrics = {"loss": statistics.fmean(losses.values()), "loss/worst": worst, **found}
        # No cost: experts are trained by whichever cell comes first, for all.
        return Outcome(metrics=metrics)

    def _model(self, work: Work) -> dict[str, float]:
        options = dict(work.method.options)
        arm = options.pop("arm", "ffn-coordinated")
        if arm not in ARMS:
            raise ConfigError(f"method '{work.method.name}': there is no arm '{arm}'; there are {', '.join(ARMS)}")
        model = None if work.method.name == "anchor" else _model(options)
        root = self._root()
        with FileLock(f"{root}.lock"):
            silos = write_nodes(root, self.anchor)
        jobs = [Job(root, silo, ARMS[arm], work.seed, self.steps, self.split, self.windows) for silo in silos]
        if model is None:
            worlds = self._world(root, silos, work.seed)
            return self._measured(worlds.fresh(), worlds)
        experts = self._trained(jobs, work)
        return {job.silo: evaluate(job, [model], experts)[model.name] for job in jobs}

    def _trained(self, jobs: Sequence[Job], work: Work) -> dict[str, Path]:
        """Packages by owner, each trained once, however many cells need it."""
        found = {}
        for place, job in enumerate(jobs):
            work.tell(place, len(jobs), job.silo)
            with FileLock(job.work / f"{job.silo}-{job.arm.name}-{job.seed}.lock"):
                found[job.silo] = train(job)
        return found

    def _unrestricted(self, work: Work) -> dict[str, float]:
        root = self._root()
        with FileLock(f"{root}.lock"):
            silos = write_nodes(root, self.anchor)
        world = self._world(root, silos, work.seed)
        found: dict[str, float] = {}

        def observe(stage: int, model: nn.Module, owner: str | None = None) -> None:
            found.update(self._measured(model, world))

        build("atoll.baselines", "joint", {}).run(world, observe)
        return found

    def _measured(self, model: nn.Module, world: World) -> dict[str, float]:
        split = cast(Split, self.split)
        return {
            silo: measure(model, workload, split, self.windows, 8)["loss"] for silo, workload in world.workloads.items()
        }

    def _world(self, root: Path, silos: list[str], seed: int) -> World:
        from atoll.clients.node import open_node

        anchor = resolve(self.anchor)
        workloads = {silo: open_node((root / silo).resolve()).workload for silo in silos}
        budget = Budget(steps=self.steps, batch=8, learning_rate=1e-3, rounds=1)
        return World(
            anchor=anchor.digest,
            model=lambda: anchor.model().float(),
            stages=[[silo] for silo in silos],
            workloads=workloads,
            training=budget,
            seed=seed,
        )

    def _root(self) -> Path:
        mark = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]
        root: Path = cache_root() / "bench" / f"merging-{mark}"
        root.mkdir(parents=True, exist_ok=True)
        return root


def _model(options: Mapping[str, Any]) -> Model:
    try:
        return Model(**options)
    except TypeError as error:
        fields = ", ".join(("arm", *Model.__dataclass_fields__))
        raise ConfigError(f"method 'model': {error}; its options are {fields}") from error
