"""What every baseline of a stream may spend: the same for all, so that differences are the methods' own."""

import math
from dataclasses import dataclass

from atoll.errors import ConfigError

_SCHEDULES = ("cosine", "linear", "constant")


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How whole models are trained.

    Attributes:
        steps: Optimizer steps that the arrival of one silo may take.
        batch: Samples of a step; one that replays takes as many again from earlier silos.
        learning_rate: Peak of the schedule.
        warmup: Steps of linear warm-up.
        schedule: ``cosine``, ``linear`` or ``constant`` after the warm-up; the first two end at a tenth of the peak.
        clip: Largest norm of the gradient; 0 for no clipping.
        weight_decay: On matrices.
        replay: Samples of real replay in all, however many silos came before.
        rounds: Rounds of federated training in a stage.
    """

    steps: int = 200
    batch: int = 16
    learning_rate: float = 1e-3
    warmup: int = 10
    schedule: str = "cosine"
    clip: float = 1.0
    weight_decay: float = 0.0
    replay: int = 512
    rounds: int = 5

    def check(self) -> None:
        """Raise ConfigError for what cannot be."""
        least = {"steps": 1, "batch": 1, "rounds": 1, "warmup": 0, "replay": 0}
        for name, value in least.items():
            if getattr(self, name) < value:
                raise ConfigError(f"stream.budget.{name} is {getattr(self, name)}; it must be at least {value}")
        if self.steps < self.rounds:
            raise ConfigError(
                f"stream.budget.rounds is {self.rounds} for {self.steps} steps; give each a step at least"
            )
        if self.schedule not in _SCHEDULES:
            raise ConfigError(f"stream.budget.schedule is '{self.schedule}'; there are {', '.join(_SCHEDULES)}")
        if not 0 < self.learning_rate < math.inf:
            raise ConfigError(f"stream.budget.learning_rate is {self.learning_rate}; it must be positive")
        for name in ("clip", "weight_decay"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"stream.budget.{name} is {getattr(self, name)}; it must be zero or more")

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of one of ``steps`` steps, by warm-up and schedule."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        done = (step - self.warmup) / max(1, steps - self.warmup)
        if self.schedule == "cosine":
            return self.learning_rate * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * done)))
        if self.schedule == "linear":
            return self.learning_rate * (1 - 0.9 * done)
        return self.learning_rate
