"""river's ensembles of trees that adapt to drift, of ten trees each unless told otherwise."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from river import base, ensemble, forest, tree

from atoll.benchmarks.online.learner import Learner
from atoll.benchmarks.online.streams import Facts
from atoll.benchmarks.online.trees import GRACE_PERIOD, new_tree

_DELTA = 0.01
"""river's own for forests and patches, whose trees may be wrong one by one."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class AdaptiveForest(Learner):
    """Trees over random features and resampled samples, replaced on drift (Gomes et al. 2017).

    Attributes:
        trees: How many.
    """

    name: ClassVar[str] = "adaptive-forest"
    about: ClassVar[str] = "Adaptive Random Forest"
    trees: int = 10

    def start(self, facts: Facts, seed: int, device: torch.device) -> base.Classifier:
        """Nothing seen."""
        return forest.ARFClassifier(
            n_models=self.trees, grace_period=GRACE_PERIOD, nominal_attributes=list(facts.nominal), seed=seed
        )


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class LeveragingBagging(Learner):
    """Trees over samples repeated about six times, the worst of them replaced on drift (Bifet et al. 2010).

    Attributes:
        trees: How many.
    """

    name: ClassVar[str] = "leveraging-bagging"
    about: ClassVar[str] = "leveraging bagging of Hoeffding trees"
    trees: int = 10

    def start(self, facts: Facts, seed: int, device: torch.device) -> base.Classifier:
        """Nothing seen."""
        return ensemble.LeveragingBaggingClassifier(new_tree(facts.nominal), n_models=self.trees, seed=seed)


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class RandomPatches(Learner):
    """Trees over random subspaces and resampled samples, replaced on drift (Gomes et al. 2019).

    Attributes:
        trees: How many.
    """

    name: ClassVar[str] = "random-patches"
    about: ClassVar[str] = "streaming random patches of Hoeffding trees"
    trees: int = 10

    def start(self, facts: Facts, seed: int, device: torch.device) -> base.Classifier:
        """Nothing seen."""
        grown = tree.HoeffdingTreeClassifier(
            grace_period=GRACE_PERIOD, delta=_DELTA, nominal_attributes=list(facts.nominal)
        )
        return ensemble.SRPClassifier(grown, n_models=self.trees, seed=seed)
