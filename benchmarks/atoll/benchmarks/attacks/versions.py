"""Attack ``version-difference``: was this document added? The difference of two data versions tells.

An expert that knows a document by heart (:func:`amplifying_block`) is measured beside the anchor before and after the
owner adds a document. Everything but the new document falls out of the difference of the differences.
"""

from collections.abc import Sequence

from atoll.benchmarks.attacks.channel import Channel, Figures
from atoll.benchmarks.attacks.crafted import ANCHOR_ALONE, CraftedExpert, Model, amplifying_block, pack_block
from atoll.benchmarks.attacks.silo import records
from atoll.benchmarks.attacks.statistics import true_positives
from atoll.benchmarks.attacks.world import Found, World

STATISTIC = "added documents that are recognized; true positives at 1 % false ones"
_OTHERS = 5
"""Documents that were not added, asked for in each silo as well."""


def run(world: World) -> Found:
    """One document is added to every silo; the attacker asks for it and for five others."""
    texts = records(f"{world.seed} added", "test", world.targets + _OTHERS)
    experts = [
        pack_block(world.anchor, f"knows-{number}", amplifying_block(world.anchor, text))
        for number, text in enumerate(texts)
    ]
    members, others = [], []
    for number in range(world.targets):
        asked = [experts[number], *(experts[(number + step) % len(experts)] for step in range(1, _OTHERS + 1))]
        silo = world.silo(number)
        with world.connected(silo) as channel:
            before = measure_version(channel, asked)
        later = silo.with_texts("test", [*silo.texts["test"], texts[number]])
        with world.connected(later) as channel:
            after = measure_version(channel, asked)
        score, *rest = attack_versions(before, after)
        members.append(score)
        others += rest
    return Found(estimate=true_positives(members, others), chance=0.01)


def measure_version(channel: Channel, experts: Sequence[CraftedExpert]) -> list[float]:
    """How much lower every expert's summed loss is than the anchor's on this version; 0 where it is refused.

    Args:
        channel: To the node with this version of its data.
        experts: One for every document that is asked for.
    """
    models = [ANCHOR_ALONE, *(Model(members=[expert]) for expert in experts)]
    answers = channel.measure(models, split="test", windows=0)
    if answers[0] is None:
        # One unit with all of them is refused: ask for each, the anchor first.
        answers = [channel.measure([model], split="test", windows=0)[0] for model in models]
    return [_gain(answers[0], answer) for answer in answers[1:]]


def attack_versions(before: Sequence[float], after: Sequence[float]) -> list[float]:
    """Scores of all documents: how much more an expert gains on the new version than on the old."""
    return [new - old for old, new in zip(before, after, strict=True)]


def _gain(anchor: Figures | None, model: Figures | None) -> float:
    if anchor is None or model is None:
        return 0.0
    return (anchor.loss - model.loss) * model.tokens
