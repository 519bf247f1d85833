"""DriftMoE's first form, MoE-Data: many trees, a router that learns which are right, and few that learn a sample.

Shapes: M experts, C classes.
"""

from dataclasses import dataclass, field
from typing import ClassVar, final

import torch
from torch import Tensor

from atoll.benchmarks.online.learner import Learner
from atoll.benchmarks.online.neural_router import NeuralRouter, RouterSettings
from atoll.benchmarks.online.streams import Facts, Sample
from atoll.benchmarks.online.trees import first_best, new_tree, opinion
from atoll.errors import ConfigError


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class DataExperts(Learner):
    """MoE-Data (Aspis et al. 2025, arXiv 2507.18464), as its published code does it unless options say otherwise.

    The router's logits choose the ``chosen`` experts that learn a sample, and, with ``votes = 1``, the one that
    answers. Its target is which experts' most probable class is right, or, where none is, the one that gives the right
    class the most probability.

    The published temperature of 0.8 changes neither the largest logits nor, therefore, anything; here it weighs votes.
    The published dropout is never active, as logits are computed without it; see :class:`RouterSettings` for both.

    Attributes:
        experts: How many trees.
        chosen: How many of them learn a sample.
        votes: How many answer: with 1 the best, with more those best, weighted by the softmax of their logits.
        temperature: By which logits are divided before that softmax.
        router: How the router learns.

    Raises:
        ConfigError: more chosen or voting than there are, or no positive temperature.
    """

    name: ClassVar[str] = "moe-data"
    about: ClassVar[str] = "DriftMoE's MoE-Data: trees divide the samples, a network says which of them answers"
    experts: int = 12
    chosen: int = 3
    votes: int = 1
    temperature: float = 0.8
    router: RouterSettings = field(default_factory=RouterSettings)

    def __post_init__(self) -> None:
        for what, value in (("chosen", self.chosen), ("votes", self.votes)):
            if not 1 <= value <= self.experts:
                raise ConfigError(f"moe-data: {what} is {value}; it must be between 1 and the {self.experts} experts")
        if not self.temperature > 0:
            raise ConfigError(f"moe-data: temperature is {self.temperature}; it must be positive")

    def start(self, facts: Facts, seed: int, device: torch.device) -> "DataMixture":
        """Trees that have seen nothing, and a router at random."""
        return DataMixture(self, facts, NeuralRouter(self.router, facts.features, self.experts, device))


class DataMixture:
    """MoE-Data at work."""

    def __init__(self, settings: DataExperts, facts: Facts, router: NeuralRouter) -> None:
        self._settings = settings
        self._classes = facts.classes
        self._trees = [new_tree(facts.nominal) for _ in range(settings.experts)]
        self._router = router
        self._last: tuple[Sample, Tensor, list[list[float]]] | None = None

    def predict_one(self, x: Sample, /) -> int:
        """The label, by the best expert or by votes."""
        logits_M, opinions_MC = self._consult(x)
        if self._settings.votes == 1:
            return first_best(opinions_MC[int(logits_M.argmax())])
        best = logits_M.topk(self._settings.votes)
        weights = torch.softmax(best.values / self._settings.temperature, 0)
        votes_C = weights @ torch.tensor([opinions_MC[expert] for expert in best.indices.tolist()])
        return int(votes_C.argmax())

    def learn_one(self, x: Sample, y: int, /) -> None:
        """The router learns who was right; those that it would have chosen before learn the sample."""
        logits_M, opinions_MC = self._consult(x)
        chosen = logits_M.topk(self._settings.chosen).indices.tolist()
        self._router.learn(x, who_is_right(opinions_MC, y))
        for expert in chosen:
            self._trees[expert].learn_one(x, y)
        self._last = None

    def _consult(self, x: Sample) -> tuple[Tensor, list[list[float]]]:
        # A label that is not late comes right after the answer: everybody has been asked already.
        if self._last is None or self._last[0] is not x:
            opinions = [opinion(tree, x, self._classes) for tree in self._trees]
            self._last = (x, self._router.logits(x), opinions)
        return self._last[1:]


def who_is_right(opinions_MC: list[list[float]], y: int) -> list[float]:
    """One for every expert whose most probable class is the label; for whoever gives it most if there is none, [M]."""
    right_M = [float(first_best(each) == y) for each in opinions_MC]
    if not any(right_M):
        right_M[first_best([each[y] for each in opinions_MC])] = 1.0
    return right_M
