"""A model beside the one before and the retrained one, on who is to be forgotten and on everybody else."""

import statistics
from collections.abc import Mapping, Sequence

import numpy as np

from atoll.benchmarks.unlearning.silos import LEAVES
from atoll.clients.node import Node
from atoll.privacy.scorecard import AFTER, BEFORE, NEVER_HAD, PREFIX, DocumentScores, scorecard
from atoll.privacy.unlearning_config import UnlearningConfig
from atoll.replay import Teacher
from atoll.workloads.scoring import Documents, document_losses, documents_of, score_documents

_BATCH = 8


def sides(node: Node, config: UnlearningConfig) -> tuple[Documents, Documents]:
    """What is to be forgotten, and held-out documents of the same owner."""
    forget, holdout = (documents_of(node.workload, split, config.documents, _BATCH) for split in ("train", "test"))
    return forget, holdout


def compare(
    nodes: Mapping[str, Node], models: Mapping[str, Teacher], anchor: Teacher, config: UnlearningConfig
) -> dict[str, float]:
    """Figures of the model after unlearning, and of the others by ``before/…`` and ``retrained/…``.

    Args:
        nodes: By owner.
        models: By one of :data:`atoll.privacy.scorecard.MODELS`.
        anchor: For the attack by reference.
        config: How much is measured.
    """
    forget, holdout = sides(nodes[LEAVES], config)
    reference = document_losses(anchor, forget), document_losses(anchor, holdout)
    scores: dict[str, DocumentScores] = {}
    done: dict[int, DocumentScores] = {}
    for name, model in models.items():
        if id(model) not in done:  # one that changed nothing is the one before
            done[id(model)] = score_documents(model, forget, holdout, reference, config)
        scores[name] = done[id(model)]
    found = named(scorecard(scores).figures())
    utility = {id(model): others_loss(nodes, model, config) for model in models.values()}
    for name, where in _WHERE.items():
        if name in models:
            found[f"{where}others_loss"] = utility[id(models[name])]
    return found


def others_loss(nodes: Mapping[str, Node], model: Teacher, config: UnlearningConfig) -> float:
    """Utility: mean over the other owners of the loss on their held-out documents, in nats a token."""
    others = [node for owner, node in nodes.items() if owner != LEAVES]
    losses = (document_losses(model, documents_of(node.workload, "test", config.documents, _BATCH)) for node in others)
    return statistics.fmean(float(np.mean(each)) for each in losses)


def named(figures: Mapping[str, float]) -> dict[str, float]:
    """A scorecard's figures by the study's names; how far leakage and loss are from the retrained model's, beside."""
    found: dict[str, float] = {}
    for model, where in _WHERE.items():
        start = f"{PREFIX}_{model}_"
        found |= {f"{where}{name.removeprefix(start)}": v for name, v in figures.items() if name.startswith(start)}
    found["leakage_size"] = abs(found["privacy_leakage"])
    found["loss_gap"] = abs(found["forget_loss"] - found["retrained/forget_loss"])
    return found


def mean_loss(losses: Mapping[str, float], owners: Sequence[str]) -> float:
    """Mean over owners, each counting the same."""
    return statistics.fmean(losses[owner] for owner in owners)


_WHERE = {BEFORE: "before/", AFTER: "", NEVER_HAD: "retrained/"}
