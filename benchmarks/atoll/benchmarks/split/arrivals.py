"""Study ``split-arrivals``: the contexts of a split data set as silos that arrive, over a frozen public anchor."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, final

import numpy as np

from atoll.benchmarks.arrivals.cell import known_methods, run_cell
from atoll.benchmarks.avalanche.baselines import BASELINES
from atoll.benchmarks.avalanche.budget import Budget
from atoll.benchmarks.avalanche.run import Run
from atoll.benchmarks.avalanche.train import run_baseline
from atoll.benchmarks.datasets.image_set import ImageSet
from atoll.benchmarks.datasets.images import read_images
from atoll.benchmarks.silos.written import written
from atoll.benchmarks.split.vectors import AboveStem, vectors
from atoll.benchmarks.suites.figure import Figures, workload_streams
from atoll.benchmarks.suites.outcome import PARAMETERS, SECONDS, Outcome
from atoll.benchmarks.suites.study import Study, Work
from atoll.coordinator.config import EvaluationConfig, RunConfig, SiloConfig
from atoll.coordinator.stream.config import StreamConfig
from atoll.coordinator.stream.world import world_of
from atoll.errors import ConfigError
from atoll.experts.training import TrainingConfig
from atoll.federation.node_config import ReplayTerms
from atoll.federation.units import Choice
from atoll.privacy.audit_config import AuditConfig
from atoll.workloads.images import ImagesConfig

_AVALANCHE = "avalanche-"
_SCENARIOS = ("domain", "class")
_PARTS = ("validation", "test")
_VALIDATION, _TEST = 0.1, 0.2
_TEMPERATURE = 8.0
"""Of the router: a picture is one position, and a text of many adds up more evidence than it holds."""


@final
@dataclass(frozen=True)
class SplitArrivals(Study):
    """Every pair of classes is a silo; what is frozen for Atoll, the anchor's stem, is so for all methods.

    Atoll and its baselines take the silos' pictures. Avalanche's strategies take what the frozen stem says of them, and
    train the anchor's blocks below its fixed head with Adam, from the anchor's weights as all others do. In a
    task-incremental stream the context is told, the owner's own expert answers, and nothing is forgotten; that is
    baseline ``local``, so there is no such scenario here.

    Attributes:
        dataset: As in study ``split-digits``.
        samples: Of each class, at most; 0 for all.
        scenario: ``domain`` or ``class``.
        anchor: The frozen model, for pictures.
        steps: Optimizer steps of an arrival, on batches of the owner's data.
        batch: Pictures of a batch; replay comes on top.
        learning_rate: Of experts.
        whole_learning_rate: Of methods that train all blocks.
        chunk: 0; or samples of a batch of an online stream, in which each is seen once, in place of steps and batch.
        replay: Samples of replay in all, drawn or kept.
        part: What is measured: ``test``, or ``validation`` for tuning.

    Raises:
        ConfigError: a scenario or a part that there is not.
    """

    name: ClassVar[str] = "split-arrivals"
    dataset: str = "digits"
    samples: int = 0
    scenario: str = "class"
    anchor: str = "atoll-images"
    steps: int = 400
    batch: int = 64
    learning_rate: float = 2e-3
    whole_learning_rate: float = 1e-3
    chunk: int = 0
    replay: int = 512
    part: str = "test"

    def __post_init__(self) -> None:
        for value, known in ((self.scenario, _SCENARIOS), (self.part, _PARTS)):
            if value not in known:
                raise ConfigError(f"study '{self.name}': '{value}' is none of {', '.join(known)}")

    def methods(self) -> Mapping[str, str]:
        """Atoll, its baselines, and Avalanche's strategies."""
        # Its generator draws pixels, and the stem's vectors are none.
        theirs = {name: known.about for name, known in BASELINES.items() if name != "generative-replay"}
        return known_methods() | {f"{_AVALANCHE}{name}": f"Avalanche: {about}" for name, about in theirs.items()}

    def figures(self) -> Figures:
        """What is measured of pictures."""
        return workload_streams(["images"])

    def run(self, work: Work) -> Outcome:
        """All arrivals.

        Raises:
            AtollError: data or an anchor that is not there, or a method that cannot be run.
        """
        config = self.config(work.seed)
        if work.method.name.startswith(_AVALANCHE):
            return self._avalanche(config, work)
        return run_cell(config, work)

    def config(self, seed: int) -> RunConfig:
        """The run, as ``atoll run`` takes it, with the silos' files in place.

        Args:
            seed: Of training, and of which picture is trained on and which is measured.
        """
        pictures = read_images(self.dataset)
        pairs = [(label, label + 1) for label in range(0, len(pictures.classes) - 1, 2)]
        steps, batch = self._pace(pictures)
        silos = [self._silo(pictures, pair, seed) for pair in pairs]
        stream = StreamConfig(stages=[[silo.name] for silo in silos], metric="accuracy")
        budget = replace(
            stream.budget,
            steps=steps,
            batch=batch,
            learning_rate=self.whole_learning_rate,
            replay=self.replay,
        )
        return RunConfig(
            title=f"{self.dataset}, {self.scenario}-incremental",
            anchor=self.anchor,
            seed=seed,
            silos=silos,
            training=TrainingConfig(
                steps=steps, batch=batch, learning_rate=self.learning_rate, patience=0, evaluate_every=200
            ),
            router=Choice(name="domain", options={"temperature": _TEMPERATURE}),
            evaluation=EvaluationConfig(split=self.part, windows=0, batch=256, baselines={}),
            stream=replace(
                stream,
                budget=budget,
                arrival=replace(stream.arrival, budget=self.replay),
                audit=AuditConfig(samples=0),  # python -m atoll.benchmarks.privacy.audit is about that
            ),
        )

    def _pace(self, pictures: ImageSet) -> tuple[int, int]:
        """Steps and batch of an arrival; of an online stream so many that no silo sees a picture twice."""
        if not self.chunk:
            return self.steps, self.batch
        fewest = 2 * min([int(count) for count in pictures.counts] + ([self.samples] if self.samples else []))
        return max(1, round((1 - _VALIDATION - _TEST) * fewest) // self.chunk), self.chunk

    def _silo(self, pictures: ImageSet, pair: tuple[int, int], seed: int) -> SiloConfig:
        rng = np.random.default_rng(seed)
        chosen = np.concatenate(
            [rng.permutation(np.flatnonzero(pictures.labels == label))[: self.samples or None] for label in pair]
        )
        labels, classes = pictures.labels[chosen], pictures.classes
        if self.scenario == "domain":
            labels, classes = labels - pair[0], ("first", "second")
        name = f"silo-{pair[0]}-{pair[1]}"
        path = written(pictures.images[chosen], labels)
        data = ImagesConfig(
            paths=[str(path)], classes=list(classes), validation=_VALIDATION, test=_TEST, salt=str(seed)
        )
        told = " and ".join(pictures.classes[label] for label in pair)
        # As they are: no other method here keeps anything from anybody.
        return SiloConfig(name=name, domain=told, data=data, replay=ReplayTerms(tell="counts", smallest=1.0))

    def _avalanche(self, config: RunConfig, work: Work) -> Outcome:
        world = world_of(config, work.folder)
        stream = vectors(world, "domain" if self.scenario == "domain" else "class")
        run = Run(
            stream=stream,
            budget=Budget(steps=self.steps, batch=self.batch, learning_rate=self.whole_learning_rate),
            seed=work.seed,
            device=work.device,
            chunk=self.chunk,
            test="validation" if self.part == "validation" else "test",
        )
        choice = Choice(name=work.method.name.removeprefix(_AVALANCHE), options=work.method.options)
        model = AboveStem(world.fresh(), stream.classes)
        began = time.monotonic()
        matrix, _ = run_baseline(choice, model, run, tell=work.tell)
        trained = sum(value.numel() for value in model.parameters())
        costs = {SECONDS: time.monotonic() - began, PARAMETERS: float(trained)}
        return Outcome(streams={matrix.metric: matrix}, costs=costs)
