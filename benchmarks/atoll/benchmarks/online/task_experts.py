"""DriftMoE's second form, MoE-Task: a tree for every class, and a router that learns the class. Shapes: C classes."""

from dataclasses import dataclass, field
from typing import ClassVar, final

import torch

from atoll.benchmarks.online.learner import Learner
from atoll.benchmarks.online.neural_router import NeuralRouter, RouterSettings
from atoll.benchmarks.online.streams import Facts, Sample
from atoll.benchmarks.online.trees import first_best, new_tree, opinion
from atoll.errors import ConfigError

_ANSWERS = ("router", "trees", "both")


def _published() -> RouterSettings:
    return RouterSettings(batch=1, dropout=0.2, noisy=True)


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class TaskExperts(Learner):
    """MoE-Task (Aspis et al. 2025, arXiv 2507.18464), as its published code does it unless options say otherwise.

    In that code the router's largest logit *is* the answer, and its target has a one for class c where tree c says yes
    and c is the label, or else for the label: for the label, whatever the trees say. So trees change neither what is
    answered nor what is learnt; they only cost time. The router is updated with every sample, and its dropout is active
    when it answers.

    Attributes:
        answer: Who answers: the ``router`` alone, as published; the ``trees``, each with the probability that it gives
            its own class; or ``both``, by the product of that and the router's softmax.
        router: How the router learns.

    Raises:
        ConfigError: nobody answers so.
    """

    name: ClassVar[str] = "moe-task"
    about: ClassVar[str] = "DriftMoE's MoE-Task: a tree for every class, of which the published answer takes no notice"
    answer: str = "router"
    router: RouterSettings = field(default_factory=_published)

    def __post_init__(self) -> None:
        if self.answer not in _ANSWERS:
            raise ConfigError(f"moe-task: answer is '{self.answer}'; it must be one of {', '.join(_ANSWERS)}")

    def start(self, facts: Facts, seed: int, device: torch.device) -> "TaskMixture":
        """Trees that have seen nothing, and a router at random."""
        return TaskMixture(self.answer, facts, NeuralRouter(self.router, facts.features, facts.classes, device))


class TaskMixture:
    """MoE-Task at work."""

    def __init__(self, answer: str, facts: Facts, router: NeuralRouter) -> None:
        self._answer = answer
        self._classes = facts.classes
        self._trees = [new_tree(facts.nominal) for _ in range(facts.classes)]
        self._router = router

    def predict_one(self, x: Sample, /) -> int:
        """The label, by whoever is to answer."""
        if self._answer == "router":
            return int(self._router.logits(x).argmax())
        own_C = torch.tensor([opinion(tree, x, 2)[1] for tree in self._trees])
        if self._answer == "both":
            own_C = own_C * torch.softmax(self._router.logits(x), 0)
        return first_best(own_C.tolist())

    def learn_one(self, x: Sample, y: int, /) -> None:
        """Everybody learns: trees whether it is their class, the router which class it is."""
        self._router.learn(x, [float(label == y) for label in range(self._classes)])
        for label, tree in enumerate(self._trees):
            tree.learn_one(x, int(label == y))
