"""How a new owner's expert is trained beside those that are there already."""

import math
from dataclasses import dataclass, field

from atoll.errors import ConfigError
from atoll.experts.stop_config import RouterStop
from atoll.replay.distill import DIVERGENCES, Distillation

NOTHING = "none"
DISTILLATIONS = (*DIVERGENCES, NOTHING)
STARTS = ("anchor", "mean", "most-used")


@dataclass(frozen=True, kw_only=True)
class ArrivalConfig:
    """Replay and distillation at an arrival.

    Attributes:
        replay: Whether samples of the earlier domains are drawn from the frozen previous release and trained on.
        distillation: What ties the new mixture to the previous release on them: ``forward-kl``, ``reverse-kl``, or
            ``none``: then they are trained on as if they were data.
        temperature: Of the distillation, whose loss is scaled by its square (Hinton et al. 2015, arXiv 1503.02531).
        budget: Samples of replay in all, however many domains there are.
        start: What the new expert starts as: a copy of the ``anchor``'s block, the ``mean`` of the experts that are
            there (MoveGCL's), or the ``most-used`` of them on the new data.
        progressive: Whether layers are trained in turn, from the outermost pair inwards.
        rows: Whether everyone's rows of the router move in training, and not the new one's only. They stay at the owner
            in any case: what the release's router becomes is fitted by the coordinator.
        labels: Whether the owner's own samples are learned from. Without, as for an owner whose data has no labels,
            the previous release says what they are (Meta-DMoE, Zhong et al. 2022, arXiv 2210.03885).
        stop: When the rows of the router stay as they are, while the new expert goes on.
        locality: Weight of the locality loss, which makes it dear to send tokens to the new expert while it moves much
            (Li et al. 2025, arXiv 2406.16437); 0 for none.
    """

    replay: bool = True
    distillation: str = "forward-kl"
    temperature: float = 2.0
    budget: int = 512
    start: str = "anchor"
    progressive: bool = False
    rows: bool = False
    labels: bool = True
    stop: RouterStop = field(default_factory=RouterStop)
    locality: float = 0.0

    def divergence(self) -> Distillation | None:
        """The distillation, or ``None`` for none of it."""
        if self.distillation == NOTHING:
            return None
        return Distillation(divergence=self.distillation, temperature=self.temperature)

    def check(self) -> None:
        """Raise ConfigError for what cannot be."""
        if self.distillation not in DISTILLATIONS:
            raise ConfigError(f"arrival.distillation is '{self.distillation}'; it is one of {', '.join(DISTILLATIONS)}")
        if self.start not in STARTS:
            raise ConfigError(f"arrival.start is '{self.start}'; it is one of {', '.join(STARTS)}")
        if not self.temperature > 0:
            raise ConfigError(f"arrival.temperature is {self.temperature}; it must be positive")
        if self.budget < 1:
            raise ConfigError(f"arrival.budget is {self.budget}; it must be at least 1")
        if not 0 <= self.locality < math.inf:
            raise ConfigError(f"arrival.locality is {self.locality}; give 0 for none, or a weight")
        self.stop.check("arrival.stop")
        if not self.labels and self.distillation == NOTHING:
            raise ConfigError("arrival.labels is false and arrival.distillation none: there is nothing to learn from")
