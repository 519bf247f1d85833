"""What every method of a comparison is given alike: steps of an optimizer on batches."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from atoll.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """Training at one context.

    Attributes:
        steps: Of the optimizer, on one batch of the context's data each. Joint training takes as many for every
            context.
        batch: Samples of the context in a batch; replay comes on top.
        optimizer: ``adam`` or ``sgd``, kept from context to context.
        learning_rate: Of it.

    Raises:
        ConfigError: an impossible value.
    """

    steps: int
    batch: int
    optimizer: Literal["adam", "sgd"] = "adam"
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 1 or not 0 < self.learning_rate < float("inf"):
            raise ConfigError(
                f"training: {self.steps} steps, batch {self.batch}, learning rate {self.learning_rate}; all must be "
                "above zero"
            )
        if self.optimizer not in ("adam", "sgd"):
            raise ConfigError(f"training: optimizer is '{self.optimizer}'; there are adam, sgd")

    def make(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """The optimizer of these parameters."""
        if self.optimizer == "adam":
            return torch.optim.Adam(parameters, lr=self.learning_rate)
        return torch.optim.SGD(parameters, lr=self.learning_rate)
