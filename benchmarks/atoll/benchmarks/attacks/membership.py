"""Attacks ``repeated-calls`` and ``test-document``: whether the silo has a document, from many similar questions.

Models that amplify the document (:func:`amplifying_model`) are measured, several for each document, each made worse
elsewhere by so much that the figure lies just where rounding turns: what one document moves then shows as a whole step,
however coarse the steps are. How far the figures lie below those of models for documents that the attacker made up is
the score (membership inference by reference models: Carlini et al. 2022, arXiv 2112.03570; here the models are the
attacker's, and the silo's data is what is asked).

``repeated-calls`` asks for documents of the training split, of which experts are made. ``test-document`` asks for those
that others may have measured, with nearly the whole budget: what it
reaches is what budget, noise and rounding leave open.
"""

import math
from collections.abc import Sequence

import numpy as np

from atoll.benchmarks.attacks.channel import Channel, Figures
from atoll.benchmarks.attacks.crafted import CraftedExpert, amplifier, amplifying_model
from atoll.benchmarks.attacks.estimates import true_positives
from atoll.benchmarks.attacks.scenario import AttackResult, Scenario
from atoll.benchmarks.attacks.silo import records
from atoll.clients.measuring.policy import MeasuringPolicy
from atoll.workloads.workload import Split

STATISTIC = "training documents whose membership is recognized; true positives at 1 % false ones"
TEST_STATISTIC = "test documents whose membership is recognized; true positives at 1 % false ones"
_REPETITIONS = 5
_FIRST_TOKENS = 3 * math.log(2) / 140
"""What the ensemble's choice between two models costs on a record of three windows, in nats a token."""
_OTHERS = 5
"""Documents that are in no silo, asked for in each as well: with the target's, 30 models."""


def run(scenario: Scenario) -> AttackResult:
    """One training document of every silo, and five that nobody has."""
    return _attack(scenario, "train")


def run_test(scenario: Scenario) -> AttackResult:
    """One test document of every silo, and five that nobody has."""
    return _attack(scenario, "test")


def attack_membership(
    channel: Channel, candidates: Sequence[CraftedExpert], split: Split, documents: int
) -> list[float]:
    """Scores of all candidate documents: how far below the others' their mean figure lies, in nats a token.

    Args:
        channel: To the node.
        candidates: For every document an amplifier.
        split: Where the documents would be; where the node refuses it, what it allows is asked.
        documents: How many the node's figures rest on, as its answers say.
    """
    anchor = channel.silo.anchor
    exact = channel.evaluate([amplifying_model(anchor, expert) for expert in candidates], split=split)
    if all(exact):
        return _scores(exact, 1)
    models = [amplifying_model(anchor, expert, excess) for excess in _excesses(documents) for expert in candidates]
    answers: list[Figures | None] = [None] * len(models)
    for allowed in dict.fromkeys((split, "test")):
        if not any(answers):
            probe = channel.measure(models[:1], split=allowed)
            answers = [*probe, *channel.measure_each(models[1:], split=allowed)] if any(probe) else answers
    return _scores(answers, _REPETITIONS)


def _scores(answers: Sequence[Figures | None], repetitions: int) -> list[float]:
    """How far below the median of all documents each one's figures lie, on average; 0 where something is refused."""
    table = np.array([_loss(answer) for answer in answers]).reshape(repetitions, -1)
    scores = np.median(table, 1, keepdims=True) - table if np.isfinite(table).all() else np.zeros_like(table)
    return [float(value) for value in scores.mean(0)]


def _attack(scenario: Scenario, split: Split) -> AttackResult:
    strangers = [amplifier(scenario.anchor, text) for text in records(f"{scenario.seed} strangers", split, _OTHERS)]
    members: list[float] = []
    others: list[float] = []
    for number in range(scenario.targets):
        silo = scenario.silo(number)
        known = amplifier(scenario.anchor, silo.texts[split][len(silo.texts[split]) // 2])
        with scenario.connected(silo) as channel:
            score, *rest = attack_membership(channel, [known, *strangers], split, len(silo.texts["test"]))
        members.append(score)
        others += rest
    return AttackResult(estimate=true_positives(members, others), chance=0.01)


def _excesses(documents: int) -> list[float]:
    """Nats a token that carry a figure to about half a step, by less and more than one document may move it."""
    rules = MeasuringPolicy()
    weight = rules.clip / documents
    turn = max(rules.step, rules.step_documents * weight) / 2
    margins = np.linspace(-0.5, 1.0, _REPETITIONS) * weight
    return [float(value) for value in turn + margins - _FIRST_TOKENS]


def _loss(answer: Figures | None) -> float:
    return float("nan") if answer is None else answer.loss
