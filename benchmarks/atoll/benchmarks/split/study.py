"""Study ``split-digits``: ten classes in five contexts, under three scenarios."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch

from atoll.benchmarks.avalanche.baselines import BASELINES
from atoll.benchmarks.avalanche.budget import Budget
from atoll.benchmarks.avalanche.contexts import PARTS, SCENARIOS, ContextStream, split_classes
from atoll.benchmarks.avalanche.run import Run
from atoll.benchmarks.avalanche.train import run_baseline
from atoll.benchmarks.datasets.images import read_images
from atoll.benchmarks.split.data import context_of
from atoll.benchmarks.split.networks import Autoencoder, perceptron
from atoll.benchmarks.split.own import class_means, generative_replay
from atoll.benchmarks.suites.figure import Figures, higher
from atoll.benchmarks.suites.outcome import PARAMETERS, SECONDS, Outcome
from atoll.benchmarks.suites.study import Study, Work
from atoll.continual import StreamMatrix
from atoll.errors import ConfigError
from atoll.replay import Distillation

_OWN: Mapping[str, str] = {
    "class-means": "the nearest mean of a class's pixels; nothing is trained",
    "dgr": "deep generative replay by a variational autoencoder, under the earlier model's labels",
    "dgr-distill": "the same under the earlier model's softened predictions",
}


@final
@dataclass(frozen=True)
class SplitDigits(Study):
    """The Split protocol with pairs of classes (Zenke, Poole and Ganguli 2017, arXiv 1703.04200) and a perceptron of
    two hidden layers, as in van de Ven and Tolias 2019 (arXiv 1904.07734).

    Attributes:
        dataset: ``digits`` of scikit-learn, 8 × 8; or ``mnist``, ``fashion-mnist``, ``animal-shapes``.
        samples: Of each class, at most; 0 for all.
        scenario: ``task``, ``domain`` or ``class``.
        hidden: Units of each hidden layer, of the classifier and of the generator.
        latent: Latent values of the generator.
        steps: Optimizer steps a context, on batches of its data.
        batch: Samples of a batch; replay comes on top.
        learning_rate: Of Adam.
        chunk: 0; or samples of the chunks of an online stream, each seen once, in place of steps and batch. Boundaries
            of contexts are told, to methods that can use them.
        part: What is measured: ``test``, or ``validation`` for tuning.

    Raises:
        ConfigError: an impossible value.
    """

    name: ClassVar[str] = "split-digits"
    dataset: str = "digits"
    samples: int = 0
    scenario: str = "class"
    hidden: int = 200
    latent: int = 20
    steps: int = 400
    batch: int = 64
    learning_rate: float = 1e-3
    chunk: int = 0
    part: str = "test"

    def __post_init__(self) -> None:
        for value, known in ((self.scenario, SCENARIOS), (self.part, PARTS[1:])):
            if value not in known:
                raise ConfigError(f"study '{self.name}': '{value}' is none of {', '.join(known)}")
        for name in ("samples", "chunk"):
            if getattr(self, name) < 0:
                raise ConfigError(f"study '{self.name}': {name} is {getattr(self, name)}; it must be zero or more")

    def methods(self) -> Mapping[str, str]:
        """Avalanche's strategies, and those of our own."""
        return {**{name: known.about for name, known in BASELINES.items()}, **_OWN}

    def figures(self) -> Figures:
        """Accuracy."""
        return Figures(streams=higher("accuracy"))

    def run(self, work: Work) -> Outcome:
        """All contexts.

        Raises:
            ConfigError: an option or a combination that a method does not have; Avalanche is not installed.
            DataError: the data set is not installed.
        """
        run = Run(
            stream=self.stream(work.seed),
            budget=Budget(steps=self.steps, batch=self.batch, learning_rate=self.learning_rate),
            seed=work.seed,
            device=work.device,
            chunk=self.chunk,
            test="validation" if self.part == "validation" else "test",
        )
        began = time.monotonic()
        matrix = self._matrix(run, work)
        costs = {SECONDS: time.monotonic() - began}
        return Outcome(streams={matrix.metric: matrix}, costs=costs | self._parameters(run.stream, work.method.name))

    def stream(self, seed: int) -> ContextStream:
        """Pairs of classes in order, under the scenario; the split into parts is the seed's."""
        whole = context_of(read_images(self.dataset), seed, self.samples)
        pairs = [(label, label + 1) for label in range(0, len(whole.classes) - 1, 2)]
        scenario = next(known for known in SCENARIOS if known == self.scenario)
        return split_classes(whole, pairs, scenario)

    def _matrix(self, run: Run, work: Work) -> StreamMatrix:
        name, options = work.method.name, work.method.options
        torch.manual_seed(run.seed)
        solver = perceptron(run.stream.shape, self.hidden, run.stream.classes)
        if name not in _OWN:
            return run_baseline(work.method, solver, run, tell=work.tell)[0]
        if run.chunk:
            raise ConfigError(f"method '{name}' is made for whole contexts; leave it out of online streams")
        if name == "class-means":
            _only(name, options, ())
            return class_means(run, work.tell)
        generator = Autoencoder(run.stream.shape, self.hidden, self.latent)
        _only(name, options, ("temperature",) if name == "dgr-distill" else ())
        distillation = Distillation(**options) if name == "dgr-distill" else None
        return generative_replay(solver, generator, run, distillation, work.tell)

    def _parameters(self, stream: ContextStream, method: str) -> dict[str, float]:
        """Of what a method trains, where that is told here."""
        solver = _size(perceptron(stream.shape, self.hidden, stream.classes))
        extra = _size(Autoencoder(stream.shape, self.hidden, self.latent)) if method.startswith("dgr") else 0
        trained = 0 if method == "class-means" else solver + extra
        return {} if method == "generative-replay" else {PARAMETERS: float(trained)}


def _size(model: torch.nn.Module) -> int:
    return sum(value.numel() for value in model.parameters())


def _only(method: str, options: Mapping[str, Any], known: tuple[str, ...]) -> None:
    if unknown := sorted(set(options) - set(known)):
        raise ConfigError(f"method '{method}' has no option '{unknown[0]}': there are {', '.join(known) or 'none'}")
