"""river's single learners, and the two lazy classifiers that kappas are measured against."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from river import base, dummy, naive_bayes, tree

from atoll.benchmarks.online.learner import Learner
from atoll.benchmarks.online.streams import Facts
from atoll.benchmarks.online.trees import DELTA, GRACE_PERIOD, new_tree


@final
@dataclass(frozen=True, slots=True)
class NoChange(Learner):
    """Always the label seen last."""

    name: ClassVar[str] = "no-change"
    about: ClassVar[str] = "always the label seen last"

    def start(self, facts: Facts, seed: int, device: torch.device) -> base.Classifier:
        """Nothing seen."""
        return dummy.NoChangeClassifier()


@final
@dataclass(frozen=True, slots=True)
class MostFrequent(Learner):
    """Always the label seen most often."""

    name: ClassVar[str] = "most-frequent"
    about: ClassVar[str] = "always the label seen most often"

    def start(self, facts: Facts, seed: int, device: torch.device) -> base.Classifier:
        """Nothing seen."""
        return dummy.PriorClassifier()


@final
@dataclass(frozen=True, slots=True)
class NaiveBayes(Learner):
    """Every feature a Gaussian in every class, names too: river has no other for streams of mixed kinds."""

    name: ClassVar[str] = "naive-bayes"
    about: ClassVar[str] = "Gaussian naive Bayes"

    def start(self, facts: Facts, seed: int, device: torch.device) -> base.Classifier:
        """Nothing seen."""
        return naive_bayes.GaussianNB()


@final
@dataclass(frozen=True, slots=True)
class HoeffdingTree(Learner):
    """One of the trees that DriftMoE's experts are."""

    name: ClassVar[str] = "hoeffding-tree"
    about: ClassVar[str] = "one Hoeffding tree"

    def start(self, facts: Facts, seed: int, device: torch.device) -> base.Classifier:
        """Nothing seen."""
        return new_tree(facts.nominal)


@final
@dataclass(frozen=True, slots=True)
class AdaptiveTree(Learner):
    """A Hoeffding tree whose branches are replaced where they begin to err (Bifet and Gavaldà 2009)."""

    name: ClassVar[str] = "adaptive-tree"
    about: ClassVar[str] = "Hoeffding adaptive tree, which replaces branches on drift"

    def start(self, facts: Facts, seed: int, device: torch.device) -> base.Classifier:
        """Nothing seen."""
        return tree.HoeffdingAdaptiveTreeClassifier(
            grace_period=GRACE_PERIOD, delta=DELTA, nominal_attributes=list(facts.nominal), seed=seed
        )
