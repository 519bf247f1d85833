"""Attack ``repeated-calls``: whether a document is among the silo's, from many similar questions.

Several experts are trained to know the document by heart, each from another seed, and each has a reference: an expert
that was trained in the same way on a document of the attacker's own. What a model gains over its reference, averaged
over repetitions, is the score (membership inference by reference models: Carlini et al. 2022, arXiv 2112.03570; here the
model is the attacker's, and the silo's data is what is asked).
"""

import random
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from atoll.benchmarks.attacks.channel import Channel, Figures
from atoll.benchmarks.attacks.crafted import CraftedExpert, Model, amplifying_block, loss_under, pack_block
from atoll.benchmarks.attacks.silo import AttackedSilo, make_record, records
from atoll.benchmarks.attacks.statistics import true_positives
from atoll.benchmarks.attacks.tokens import window_tokens
from atoll.benchmarks.attacks.world import Found, World

STATISTIC = "training documents whose membership is recognized; true positives at 1 % false ones"
_REPETITIONS = 3
_OTHERS = 5
"""Documents that are in no silo, asked for in each as well."""


def run(world: World) -> Found:
    """One training document of every silo, and five that nobody has."""
    silos = [world.silo(number) for number in range(world.targets)]
    strangers = records(f"{world.seed} strangers", "train", _OTHERS)
    references = [
        _knows(world, f"reference-{one}", make_record(random.Random(f"{world.seed} reference {one}")), one)
        for one in range(_REPETITIONS)
    ]
    unknown = [
        [_knows(world, f"stranger-{number}-{one}", text, one) for one in range(_REPETITIONS)]
        for number, text in enumerate(strangers)
    ]
    members: list[float] = []
    others: list[float] = []
    own = AttackedSilo(folder=world.folder, anchor=world.anchor, texts={"train": records("the attacker's", "train", 60)})
    shadow = window_tokens(own, "train")
    for silo in silos:
        target = silo.texts["train"][len(silo.texts["train"]) // 2]
        known = [_knows(world, f"member-{one}", target, one) for one in range(_REPETITIONS)]
        with world.connected(silo) as channel:
            score, *rest = attack_membership(channel, [known, *unknown], references, shadow)
        members.append(score)
        others += rest
    return Found(estimate=true_positives(members, others), chance=0.01)


def _knows(world: World, owner: str, text: str, seed: int) -> CraftedExpert:
    return pack_block(world.anchor, owner, amplifying_block(world.anchor, text, seed=seed))


def attack_membership(
    channel: Channel, candidates: Sequence[Sequence[CraftedExpert]], references: Sequence[CraftedExpert], shadow: Tensor
) -> list[float]:
    """Scores of all candidate documents: mean gain over the references, in nats a token; 0 where refused.

    What an expert gains on the attacker's own text of the same sort is taken off: it says nothing of the document.

    Args:
        channel: To the node.
        candidates: For every document its amplifying experts, one a repetition.
        references: One a repetition.
        shadow: Windows [N, S] of text of the same sort that the attacker has.
    """
    rounds = range(len(references))
    models = [
        Model(members=[expert]) for number in rounds for expert in (references[number], *(c[number] for c in candidates))
    ]
    answers = channel.measure(models, split="train", windows=0)
    for split in ("train", "test"):
        if any(answers):
            break
        answers = [channel.measure([model], split=split, windows=0)[0] for model in models]
    known = [loss_under(channel.silo.anchor, expert.block, shadow) for model in models for expert in model.members]
    table = np.array([_loss(answer) for answer in answers]) - known
    table = table.reshape(len(references), 1 + len(candidates))
    gains = np.nan_to_num(table[:, :1] - table[:, 1:], nan=0.0)
    return [float(value) for value in gains.mean(0)]


def _loss(answer: Figures | None) -> float:
    return float("nan") if answer is None else answer.loss
