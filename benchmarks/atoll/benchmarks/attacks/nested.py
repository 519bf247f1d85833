"""Attack ``nested-difference``: the loss of one window, from two evaluations of which one has a window more.

A unit says how many windows are to be evaluated, and anyone can work out which they are. All windows less all but the
last is the last one's loss, exactly; every other oracle begins with the loss of one window under a chosen model.
"""

import numpy as np
import torch

from atoll.anchors import Anchor
from atoll.benchmarks.attacks.channel import Channel
from atoll.benchmarks.attacks.crafted import CraftedExpert, Model, anchor_model, placebo
from atoll.benchmarks.attacks.estimates import share_of
from atoll.benchmarks.attacks.scenario import AttackResult, Scenario
from atoll.benchmarks.attacks.silo import WINDOW
from atoll.benchmarks.attacks.tokens import window_tokens

TOLERANCE = 0.02
"""Nats a token within which a window's loss counts as recovered."""
STATISTIC = "single windows whose loss is recovered to within 0.02 nats a token; share"


def run(scenario: Scenario) -> AttackResult:
    """The last test window of every silo, under an expert that equals the anchor."""
    expert = placebo(scenario.anchor)
    hits, guesses = 0, []
    for number in range(scenario.targets):
        silo = scenario.silo(number)
        truth = true_losses(scenario.anchor, window_tokens(silo, "test"))
        with scenario.connected(silo) as channel:
            found = attack_last_window(channel, expert, len(truth))
        hits += found is not None and abs(found - float(truth[-1])) < TOLERANCE
        # Who asks nothing guesses what a window costs on average.
        guesses.append(float((truth - truth.mean()).abs().lt(TOLERANCE).double().mean()))
    return AttackResult(estimate=share_of(hits, scenario.targets), chance=float(np.mean(guesses)))


def attack_last_window(channel: Channel, expert: CraftedExpert, windows: int) -> float | None:
    """An expert's loss on the last test window, in nats a token; ``None`` where nothing is answered.

    Args:
        channel: To the node.
        expert: Under which.
        windows: Of the test split; a node announces how many tokens it has.
    """
    model = Model(members=[expert])
    every = channel.evaluate([model], split="test", windows=0)[0]
    fewer = channel.evaluate([model], split="test", windows=windows - 1)[0]
    if every is None or fewer is None:
        # The best guess that is left is the mean over the documents that the node chose.
        (mean,) = channel.measure([model])
        return None if mean is None else mean.loss
    counts = [answer.tokens // (WINDOW - 1) for answer in (every, fewer)]
    return (every.loss * counts[0] - fewer.loss * counts[1]) / (counts[0] - counts[1])


@torch.no_grad()
def true_losses(anchor: Anchor, windows: torch.Tensor) -> torch.Tensor:
    """The anchor's loss on each window [N], in nats a token."""
    logits = anchor_model(anchor.path)(input_ids=windows, use_cache=False).logits[:, :-1]
    return torch.nn.functional.cross_entropy(logits.transpose(1, 2), windows[:, 1:], reduction="none").mean(1)
