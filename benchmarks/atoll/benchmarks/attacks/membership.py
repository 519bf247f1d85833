"""Attacks ``repeated-calls`` and ``test-document``: whether the silo has a document, from many similar questions.

Models that amplify the document (:func:`amplifying_model`) are measured, several for each document and each of another
seed or another excess, so that rounding and noise average out; how far their figures lie below those of models for
documents that the attacker made up is the score (membership inference by reference models: Carlini et al. 2022, arXiv
2112.03570; here the models are the attacker's, and the silo's data is what is asked).

``repeated-calls`` asks for documents of the training split, of which experts are made. ``test-document`` asks for those
that others may have measured, with the whole budget: what it reaches is what the budget and the rounding leave open.
"""

from collections.abc import Sequence

import numpy as np

from atoll.benchmarks.attacks.channel import Channel, Figures
from atoll.benchmarks.attacks.crafted import CraftedExpert, Model, amplifier, amplifying_model
from atoll.benchmarks.attacks.silo import AttackedSilo, records
from atoll.benchmarks.attacks.statistics import true_positives
from atoll.benchmarks.attacks.world import Found, World
from atoll.workloads.workload import Split

STATISTIC = "training documents whose membership is recognized; true positives at 1 % false ones"
TEST_STATISTIC = "test documents whose membership is recognized with the whole budget; true positives at 1 % false ones"
_REPETITIONS = 6
_OTHERS = 5
"""Documents that are in no silo, asked for in each as well: with the target's, 36 models."""


def run(world: World) -> Found:
    """One training document of every silo, and five that nobody has."""
    return _attack(world, "train")


def run_test(world: World) -> Found:
    """One test document of every silo, and five that nobody has."""
    return _attack(world, "test")


def attack_membership(
    channel: Channel, candidates: Sequence[CraftedExpert], split: Split, steps: float
) -> list[float]:
    """Scores of all candidate documents: how far below the others' their mean figure lies, in nats a token.

    Args:
        channel: To the node.
        candidates: For every document an amplifier.
        split: Where the documents would be; where the node refuses it, what it allows is asked.
        steps: What the node rounds figures to: excesses are spread over that much.
    """
    anchor = channel.silo.anchor
    excesses = [steps * number / _REPETITIONS for number in range(_REPETITIONS)]
    models = [amplifying_model(anchor, expert, excess) for excess in excesses for expert in candidates]
    answers = channel.evaluate(models, split=split)
    for allowed in (split, "test"):
        if not any(answers):
            probe = channel.measure(models[:1], split=allowed)
            answers = [*probe, *channel.measure_each(models[1:], split=allowed)] if any(probe) else answers
    table = np.array([_loss(answer) for answer in answers]).reshape(_REPETITIONS, len(candidates))
    scores = np.nanmedian(table, 1, keepdims=True) - table if np.isfinite(table).all() else np.zeros_like(table)
    return [float(value) for value in scores.mean(0)]


def _attack(world: World, split: Split) -> Found:
    strangers = [
        amplifier(world.anchor, text) for text in records(f"{world.seed} strangers", split, _OTHERS)
    ]
    members: list[float] = []
    others: list[float] = []
    for number in range(world.targets):
        silo = world.silo(number)
        known = amplifier(world.anchor, silo.texts[split][len(silo.texts[split]) // 2])
        with world.connected(silo) as channel:
            score, *rest = attack_membership(channel, [known, *strangers], split, _rounding(silo))
        members.append(score)
        others += rest
    return Found(estimate=true_positives(members, others), chance=0.01)


def _rounding(silo: AttackedSilo) -> float:
    """What the default policy rounds to, which anyone can work out: all that one document can move a figure by."""
    return 2.0 / len(silo.texts["test"])


def _loss(answer: Figures | None) -> float:
    return float("nan") if answer is None else answer.loss


__all__ = ["STATISTIC", "TEST_STATISTIC", "Model", "attack_membership", "run", "run_test"]
