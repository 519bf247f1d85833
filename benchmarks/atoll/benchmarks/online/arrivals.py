"""Atoll's own way on a drifting stream: experts are frozen, a new one arrives on drift, and evidence routes.

Shapes: M experts, C classes.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from river.drift import ADWIN

from atoll.benchmarks.online.learner import Learner
from atoll.benchmarks.online.streams import Facts, Sample
from atoll.benchmarks.online.trees import first_best, new_tree, opinion
from atoll.errors import ConfigError


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Arrivals(Learner):
    """The newest tree learns; when the mixture's errors rise, it is frozen and an empty tree arrives.

    Router: ``log g_e(t) = Σ_{s < t} memory^(t-s) log((1 - smoothing) p_e(y_s | x_s) + smoothing / C) + const``, the
    posterior of each expert given the stream so far, as Atoll's routers have it given the text so far, but forgetting
    (Raftery, Kárný and Ettler 2010). A concept that comes back finds its expert where it was left. Nothing is fitted.

    Attributes:
        memory: What a sample's evidence is worth one sample later, in (0, 1).
        smoothing: Share of chance in every expert's opinion, in (0, 1].
        delta: ADWIN's (Bifet and Gavaldà 2007) chance of seeing a drift that is none.
        most: Experts at most; the one with the least evidence withdraws when another arrives.
        freeze: Whether only the newest learns.

    Raises:
        ConfigError: a value that cannot be.
    """

    name: ClassVar[str] = "arrivals"
    about: ClassVar[str] = (
        "Atoll's: an expert arrives when errors rise, those before are frozen, recent evidence routes"
    )
    memory: float = 0.98
    smoothing: float = 0.05
    delta: float = 0.05
    most: int = 12
    freeze: bool = True

    def __post_init__(self) -> None:
        if not (0 < self.memory < 1 and 0 < self.smoothing <= 1 and 0 < self.delta < 1 and self.most > 1):
            raise ConfigError(
                f"arrivals: memory {self.memory} and delta {self.delta} must be in (0, 1), "
                f"smoothing {self.smoothing} in (0, 1], most {self.most} at least 2"
            )

    def start(self, facts: Facts, seed: int, device: torch.device) -> "Arriving":
        """One tree that has seen nothing."""
        return Arriving(self, facts)


class Arriving:
    """Arrivals at work."""

    def __init__(self, settings: Arrivals, facts: Facts) -> None:
        self._settings = settings
        self._facts = facts
        self._trees = [new_tree(facts.nominal)]
        self._evidence_M = [0.0]
        self._errors = ADWIN(settings.delta)

    @property
    def experts(self) -> int:
        """How many there are now."""
        return len(self._trees)

    def predict_one(self, x: Sample, /) -> int:
        """The label with the most of the experts' weighted votes."""
        return first_best(self._votes(self._consult(x)))

    def learn_one(self, x: Sample, y: int, /) -> None:
        """Weigh the experts by a label, teach the newest, and let another arrive where errors rise."""
        opinions_MC = self._consult(x)
        wrong = first_best(self._votes(opinions_MC)) != y
        self._weigh([each[y] for each in opinions_MC])
        for tree in self._trees[-1:] if self._settings.freeze else self._trees:
            tree.learn_one(x, y)
        before = self._errors.estimation
        self._errors.update(float(wrong))
        if self._errors.drift_detected and self._errors.estimation > before:
            self._arrive()

    def _consult(self, x: Sample) -> list[list[float]]:
        return [opinion(tree, x, self._facts.classes) for tree in self._trees]

    def _votes(self, opinions_MC: list[list[float]]) -> list[float]:
        top = max(self._evidence_M)
        weights_M = [math.exp(each - top) for each in self._evidence_M]
        return [sum(w * p for w, p in zip(weights_M, each, strict=True)) for each in zip(*opinions_MC, strict=True)]

    def _weigh(self, given_M: list[float]) -> None:
        share, chance = self._settings.smoothing, self._settings.smoothing / self._facts.classes
        for expert, given in enumerate(given_M):
            kept = self._settings.memory * self._evidence_M[expert]
            self._evidence_M[expert] = kept + math.log((1 - share) * given + chance)

    def _arrive(self) -> None:
        if len(self._trees) == self._settings.most:
            least = first_best([-each for each in self._evidence_M])
            del self._trees[least], self._evidence_M[least]
        self._trees.append(new_tree(self._facts.nominal))
        self._evidence_M.append(min(self._evidence_M))
