"""Attack ``version-difference``: was this document added? The difference of two data versions tells.

A model that amplifies one document (:func:`amplifying_model`) is measured before and after the owner adds it:
everything but the new document falls out of the difference. A node that waits for more documents to change is asked
again once they have.
"""

from collections.abc import Sequence

from atoll.benchmarks.attacks.channel import Channel
from atoll.benchmarks.attacks.crafted import ANCHOR_ALONE, CraftedExpert, Model, amplifier, amplifying_model, placebo
from atoll.benchmarks.attacks.estimates import true_positives
from atoll.benchmarks.attacks.scenario import AttackResult, Scenario
from atoll.benchmarks.attacks.silo import records

STATISTIC = "added documents that are recognized; true positives at 1 % false ones"
_OTHERS = 5
"""Documents that were not added, asked for in each silo as well."""
_LATER = 25
"""Further documents that an owner adds later on; more than the default policy's ``min_documents``."""


def run(scenario: Scenario) -> AttackResult:
    """One document is added to every silo, later on others; the attacker asks for it and for five that never came."""
    texts = records(f"{scenario.seed} added", "test", scenario.targets + _OTHERS)
    experts = [amplifier(scenario.anchor, text) for text in texts]
    members: list[float] = []
    others: list[float] = []
    for number in range(scenario.targets):
        asked = [experts[number], *(experts[(number + step) % len(experts)] for step in range(1, _OTHERS + 1))]
        silo = scenario.silo(number)
        more = records(f"{scenario.seed} later {number}", "test", _LATER)
        with scenario.connected(silo) as channel:
            before = summed_losses(channel, asked)
        with scenario.connected(silo.with_texts("test", [*silo.texts["test"], texts[number]])) as channel:
            after = summed_losses(channel, asked)
        if after == before:  # the node has not changed what its figures rest on
            with scenario.connected(silo.with_texts("test", [*silo.texts["test"], texts[number], *more])) as channel:
                after = summed_losses(channel, asked)
        score, *rest = [old - new for old, new in zip(before, after, strict=True)]
        members.append(score)
        others += rest
    return AttackResult(estimate=true_positives(members, others), chance=0.01)


def summed_losses(channel: Channel, experts: Sequence[CraftedExpert]) -> list[float]:
    """What every amplifying model loses more than a placebo on this version of the data, in nats a token times what
    its figures rest on; 0 where refused.

    Args:
        channel: To the node with this version.
        experts: One for every document that is asked for.
    """
    anchor = channel.silo.anchor
    models = [Model(members=[placebo(anchor)]), *(amplifying_model(anchor, expert) for expert in experts)]
    base, *answers = channel.evaluate(models, split="test")
    if base is None:
        models[0] = ANCHOR_ALONE
        base, *answers = channel.measure_each(models)
    return [0.0 if base is None or answer is None else (answer.loss - base.loss) * answer.weight for answer in answers]
