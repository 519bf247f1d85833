"""The router's network without any expert, as a classifier: what is left to explain by experts."""

from dataclasses import dataclass, field
from typing import ClassVar, final

import torch

from atoll.benchmarks.online.learner import Learner
from atoll.benchmarks.online.neural_router import NeuralRouter, RouterSettings
from atoll.benchmarks.online.streams import Facts, Sample


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class RouterOnly(Learner):
    """The same network with an output for every class, learning the label with the same loss and the same updates.

    Attributes:
        router: How it learns.
    """

    name: ClassVar[str] = "router-only"
    about: ClassVar[str] = "DriftMoE's router as a classifier, without experts"
    router: RouterSettings = field(default_factory=RouterSettings)

    def start(self, facts: Facts, seed: int, device: torch.device) -> "RouterAlone":
        """A network at random."""
        return RouterAlone(NeuralRouter(self.router, facts.features, facts.classes, device), facts.classes)


class RouterAlone:
    """The network at work."""

    def __init__(self, router: NeuralRouter, classes: int) -> None:
        self._router = router
        self._classes = classes

    def predict_one(self, x: Sample, /) -> int:
        """The label with the largest logit."""
        return int(self._router.logits(x).argmax())

    def learn_one(self, x: Sample, y: int, /) -> None:
        """Learn a label, in batches."""
        self._router.learn(x, [float(label == y) for label in range(self._classes)])
