"""The extension point ``Learner``: what learns from a stream, as a value with its options."""

from abc import ABC, abstractmethod
from typing import ClassVar, Protocol

import torch

from atoll.benchmarks.online.streams import Facts, Sample

GROUP = "atoll.online"
"""Entry points of learners."""


class OnlineClassifier(Protocol):
    """A learner at work. river's classifiers are such."""

    def predict_one(self, x: Sample, /) -> object:
        """The label, from 0; ``None`` where nothing is known yet."""

    def learn_one(self, x: Sample, y: int, /) -> None:
        """See one sample's label."""


class Learner(ABC):
    """A learner before it begins: a frozen dataclass, whose fields are a method's options.

    Attributes:
        name: As registered.
        about: A line about it.
    """

    name: ClassVar[str]
    about: ClassVar[str]

    @abstractmethod
    def start(self, facts: Facts, seed: int, device: torch.device) -> OnlineClassifier:
        """Begin a stream; what is random follows the seed and, for networks, torch's own."""
