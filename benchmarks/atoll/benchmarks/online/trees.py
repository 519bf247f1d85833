"""Hoeffding trees (Domingos and Hulten 2000) as experts, grown as DriftMoE grows them. Shapes: C classes."""

from collections.abc import Sequence

from river.tree import HoeffdingTreeClassifier

from atoll.benchmarks.online.streams import Sample

GRACE_PERIOD = 50
"""Samples that a leaf sees between attempts to split."""
DELTA = 1e-7
"""One minus the confidence with which the best split must be the best."""


def new_tree(nominal: Sequence[int]) -> HoeffdingTreeClassifier:
    """A tree that has seen nothing."""
    return HoeffdingTreeClassifier(grace_period=GRACE_PERIOD, delta=DELTA, nominal_attributes=list(nominal))


def opinion(tree: HoeffdingTreeClassifier, x: Sample, classes: int) -> list[float]:
    """Probability that a tree gives each class, [C]; the same for all while it has seen nothing."""
    given = tree.predict_proba_one(x)
    if not given:
        return [1 / classes] * classes
    return [given.get(label, 0.0) for label in range(classes)]


def first_best(values: Sequence[float]) -> int:
    """Place of the largest value; the first of equals."""
    return max(range(len(values)), key=values.__getitem__)
