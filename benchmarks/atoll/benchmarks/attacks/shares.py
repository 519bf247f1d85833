"""Attack ``puppet-shares``: whether one record holds a finding, by the routing share of a puppet's expert.

A puppet owner joins with an expert that equals the anchor and a descriptor that is all one character. Router
``naive-bayes`` then sends the rest of a window to it once the character has come, and says in what share: no loss is
looked at. Findings are common, so what many records hold together says little of one of them.
"""

from collections.abc import Mapping

import torch

from atoll.anchors import Anchor
from atoll.anchors.public import public_batches, public_texts
from atoll.anchors.states import describe_unigram
from atoll.benchmarks.attacks.channel import Channel
from atoll.benchmarks.attacks.crafted import CraftedExpert, Model, anchor_block, pack_block
from atoll.benchmarks.attacks.estimates import true_positives
from atoll.benchmarks.attacks.scenario import AttackResult, Scenario
from atoll.benchmarks.attacks.silo import MARKERS
from atoll.benchmarks.attacks.tokens import tokens_of, window_tokens
from atoll.federation.units import Choice

STATISTIC = "findings of single windows that are recognized; true positives at 1 % false ones"
_ROUTER = Choice(name="naive-bayes", options={"smoothing": 0.99, "temperature": 0.01, "anchor": -8.0})
"""Any other character counts one nat against the puppet, its own some hundred for it."""
_INTEGRATOR = Choice(name="flexolmo")


def run(scenario: Scenario) -> AttackResult:
    """The first test window of every silo, and all findings; as many silos as hold enough of them."""
    legitimate, planted = honest(scenario.anchor), puppets(scenario.anchor, MARKERS)
    members: list[float] = []
    others: list[float] = []
    number = 0
    while len(members) < scenario.targets:
        silo = scenario.silo(number)
        number += 1
        (*first,) = window_tokens(silo, "test")[0].tolist()
        present = {marker for marker in MARKERS if tokens_of(scenario.anchor, marker)[0] in first}
        if not present:
            continue
        with scenario.connected(silo) as channel:
            scores = attack_shares(channel, legitimate, planted)
        members += [score for marker, score in scores.items() if marker in present]
        others += [score for marker, score in scores.items() if marker not in present]
    return AttackResult(estimate=true_positives(members[: scenario.targets], others), chance=0.01)


def puppets(anchor: Anchor, markers: str) -> dict[str, CraftedExpert]:
    """An expert for each finding."""
    made = {}
    for number, marker in enumerate(markers):
        (token,) = tokens_of(anchor, marker)
        unigram = torch.zeros(anchor.architecture.vocabulary)
        unigram[token] = 1.0
        made[marker] = pack_block(anchor, f"finding-{number}", anchor_block(anchor), unigram)
    return made


def honest(anchor: Anchor) -> CraftedExpert:
    """An expert of a member that is what it says it is, with the public text's words."""
    batches = public_batches(anchor, len(public_texts()), 256)
    unigram = describe_unigram(batches, anchor.architecture.vocabulary, fewest=1)
    return pack_block(anchor, "member", anchor_block(anchor), unigram)


def attack_shares(
    channel: Channel, legitimate: CraftedExpert, planted: Mapping[str, CraftedExpert]
) -> dict[str, float]:
    """Scores of all findings: the puppet's share of the routing weight; 0 where it is refused.

    Args:
        channel: To the node; the target is the first test window.
        legitimate: A member as any other.
        planted: Puppets by finding.
    """
    models = [Model(members=[legitimate, one], integrator=_INTEGRATOR, router=_ROUTER) for one in planted.values()]
    answers = channel.evaluate(models, split="test", windows=1)
    if not any(answers):
        answers = channel.measure_each(models, shares=True)
    return {
        marker: 0.0 if answer is None else float(answer.shares.get(one.ref.owner, 0.0))
        for (marker, one), answer in zip(planted.items(), answers, strict=True)
    }
