"""Study ``silos``: data sets of pictures, dealt out to silos that arrive one after the other or together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, final

from atoll.benchmarks.arrivals.cell import known_methods, run_cell
from atoll.benchmarks.partitions.figures import how_they_look, who_holds_what
from atoll.benchmarks.partitions.partition import Part
from atoll.benchmarks.partitions.pictures import Pictures, pooled
from atoll.benchmarks.partitions.read import read_partition
from atoll.benchmarks.silos.written import written
from atoll.benchmarks.suites.figure import Figures, workload_streams
from atoll.benchmarks.suites.outcome import Outcome
from atoll.benchmarks.suites.study import Study, Work
from atoll.coordinator.config import DescriptorConfig, EvaluationConfig, RunConfig, SiloConfig
from atoll.coordinator.stream.config import StreamConfig
from atoll.errors import ConfigError
from atoll.experts.training import TrainingConfig
from atoll.federation.node_config import ReplayTerms
from atoll.federation.units import Choice
from atoll.privacy.audit_config import AuditConfig
from atoll.workloads.images import ImagesConfig

_DIRECTIONS = 16
_ROUTER = Choice(name="domain", options={"temperature": 8.0, "directions": True, "anchor": -20.0})
"""A picture is one position, where a text has many: means and variances alone tell too little of it. The anchor, which
knows none of the classes, hardly ever answers."""
_REPLAY = Choice(name="gaussian", options={"covariance": "full"})
"""Owners of public data tell their moments as they are."""
_ARRIVE = ("one by one", "together")


@final
@dataclass(frozen=True)
class Silos(Study):
    """Every part of a partition is a silo; a silo that comes again with new data counts as another owner then.

    Every silo is measured on its own held-out pictures, so where silos hold different classes a model of one silo alone
    has little to tell apart, and is hard to beat there.

    Attributes:
        data: Data sets, pooled.
        partition: Its registered name, and options as a YAML mapping: ``dirichlet {alpha: 0.1, silos: 5}``.
        samples: Pictures of each data set, drawn at random; 0 for all.
        arrive: ``one by one``, or ``together``: all parts of a stage of the partition at once.
        anchor: The frozen model.
        side: Pixels of a picture's side, which the anchor reads.
        steps: Optimizer steps of an arrival, for every method.
        batch: Pictures of a step.
        learning_rate: Of experts.
        whole_learning_rate: Of methods that train the whole model.
        replay: Samples of replay in all, drawn or kept.
        rounds: Of federated training in a stage.
        split: What is measured.

    Raises:
        ConfigError: a partition, an arrival or a split that there is not.
    """

    name: ClassVar[str] = "silos"
    data: list[str] = field(default_factory=lambda: ["mnist"])
    partition: str = "dirichlet"
    samples: int = 3000
    arrive: str = "one by one"
    anchor: str = "atoll-images"
    side: int = 28
    steps: int = 150
    batch: int = 32
    learning_rate: float = 1e-2
    whole_learning_rate: float = 1e-3
    replay: int = 300
    rounds: int = 5
    split: str = "test"

    def __post_init__(self) -> None:
        read_partition(self.partition)
        if self.arrive not in _ARRIVE:
            raise ConfigError(f"study 'silos': arrive is '{self.arrive}'; it is '{_ARRIVE[0]}' or '{_ARRIVE[1]}'")

    def methods(self) -> Mapping[str, str]:
        """Atoll and all baselines."""
        return known_methods()

    def figures(self) -> Figures:
        """What is measured of pictures."""
        return workload_streams(["images"])

    def run(self, work: Work) -> Outcome:
        """All arrivals."""
        return run_cell(self.config(work.seed), work)

    def pictures(self, seed: int, folder: Path) -> Mapping[str, Path]:
        """Who holds which classes, and how pictures look there."""
        there, parts = self._dealt(seed)
        return {
            "Who holds what": who_holds_what(parts, there.pool, there.classes, folder / "classes.png"),
            "How it looks": how_they_look(parts, there.pool, there.images, folder / "looks.png", seed),
        }

    def config(self, seed: int) -> RunConfig:
        """The run, as ``atoll run`` takes it, with the silos' files in place.

        Args:
            seed: Of the draw of samples, the partition and training.

        Raises:
            AtollError: data that is not installed, or that cannot be dealt out so.
        """
        there, parts = self._dealt(seed)
        owners = [_owner(part, parts) for part in parts]
        budget = replace(
            StreamConfig().budget,
            steps=self.steps,
            batch=self.batch,
            learning_rate=self.whole_learning_rate,
            replay=self.replay,
            rounds=self.rounds,
        )
        stream = StreamConfig(stages=self._stages(parts, owners), metric="accuracy", budget=budget)
        return RunConfig(
            title=f"{', '.join(self.data)}: {self.partition}",
            anchor=self.anchor,
            seed=seed,
            silos=[_silo(owner, part, there, seed) for owner, part in zip(owners, parts, strict=True)],
            training=TrainingConfig(
                steps=self.steps, batch=self.batch, learning_rate=self.learning_rate, patience=0, validation_windows=64
            ),
            descriptor=DescriptorConfig(counted=0, directions=_DIRECTIONS),
            router=_ROUTER,
            evaluation=EvaluationConfig(split=self.split, windows=0, batch=128, baselines={}),
            stream=replace(
                stream,
                replay=_REPLAY,
                refit=replace(stream.refit, steps=0),  # descriptors alone route better, on validation pictures
                arrival=replace(stream.arrival, budget=self.replay),
                audit=AuditConfig(samples=0),  # python -m atoll.benchmarks.privacy.audit is about that
            ),
        )

    def _dealt(self, seed: int) -> tuple[Pictures, list[Part]]:
        there = pooled(self.data, samples=self.samples, side=self.side, seed=seed)
        return there, read_partition(self.partition).split(there.pool, seed)

    def _stages(self, parts: Sequence[Part], owners: Sequence[str]) -> list[list[str]]:
        if self.arrive == "one by one":
            return [[owner] for owner in owners]
        return [
            [owner for owner, part in zip(owners, parts, strict=True) if part.stage == stage]
            for stage in sorted({part.stage for part in parts})
        ]


def _owner(part: Part, parts: Sequence[Part]) -> str:
    return part.silo if all(one.stage == 1 for one in parts) else f"{part.silo}-stage-{part.stage}"


def _silo(owner: str, part: Part, there: Pictures, seed: int) -> SiloConfig:
    images = part.look.seen(there.images[part.indices], seed)
    path = written(images, there.pool.labels[part.indices])
    return SiloConfig(
        name=owner,
        domain=f"pictures, {part.look}",
        data=ImagesConfig(paths=[str(path)], classes=list(there.classes), validation=0.1, test=0.25),
        replay=ReplayTerms(tell="counts", smallest=1.0),
    )
