"""Attack ``token-oracle``: losses of crafted experts give back the tokens of one private training window.

An expert that makes the model say the same everywhere (:func:`saturated_block`) has the loss ``Σ_w c_w · m_w`` over a
window in which token w occurs ``c_w`` times, with constants ``m_w`` that the attacker knows. As many experts as there
are tokens to tell apart give a linear system with one solution. Which tokens to look for is told by the token shares of
the owner's released expert.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import nnls

from atoll.anchors import Anchor
from atoll.anchors.plain_text import text_ids
from atoll.benchmarks.attacks.channel import Channel, Figures
from atoll.benchmarks.attacks.crafted import CraftedExpert, Model, pack_block, saturated_block, saturated_logprobs
from atoll.benchmarks.attacks.estimates import mean_of
from atoll.benchmarks.attacks.scenario import AttackResult, Scenario
from atoll.benchmarks.attacks.silo import WINDOW, AttackedSilo
from atoll.workloads.workload import Split

EXPERTS = 60
"""Crafted experts; the logits of a width of 64 leave at most 65 equations that differ."""
_CONSISTENT = 0.02
"""Nats a token by which the solution may miss the figures and be believed."""

STATISTIC = "tokens of a training window recovered beyond what released token shares predict, of 63; mean"

Counts = NDArray[np.int64]


def run(scenario: Scenario) -> AttackResult:
    """The first training window of every silo."""
    gains = []
    for number in range(scenario.targets):
        silo = scenario.silo(number)
        with scenario.connected(silo) as channel:
            hits, guessed = attack_tokens(channel, released_shares(silo), first_window(silo), scenario.seed)
        gains.append(float(hits - guessed))
    return AttackResult(estimate=mean_of(gains))


def attack_tokens(channel: Channel, shares: NDArray[np.float64], target: Counts, seed: int) -> tuple[int, int]:
    """Recover one window.

    Args:
        channel: To the node.
        shares: Token shares that the owner's released package tells, [vocabulary].
        target: How often every token occurs among the window's predicted ones, for counting the hits, [vocabulary].
        seed: Of the experts' directions.

    Returns:
        Tokens of the window that the attack recovers, and how many the shares alone predict, both as multisets.
    """
    size = int(target.sum())
    guess = rounded(shares, size)
    found = _solve(channel, shares, seed)
    recovered = guess if found is None else rounded(found, size)
    return overlap(recovered, target), overlap(guess, target)


def released_shares(silo: AttackedSilo, fewest: int = 3) -> NDArray[np.float64]:
    """Token shares as a released descriptor tells them: of the training documents, without what fewer than 3 hold."""
    vocabulary = silo.anchor.architecture.vocabulary
    rows = [tokens_of(silo.anchor, text) for text in silo.texts["train"]]
    counts = np.stack([np.bincount(row, minlength=vocabulary) for row in rows])
    shares: NDArray[np.float64] = np.where((counts > 0).sum(0) >= fewest, counts.sum(0), 0) / counts.sum()
    return shares


def window_tokens(silo: AttackedSilo, split: Split) -> torch.Tensor:
    """A split's windows [N, S], as the node cuts them: documents one after the other, each closed by one token."""
    ids = [token for text in silo.texts[split] for token in (*tokens_of(silo.anchor, text), _eos(silo.anchor))]
    count = len(ids) // WINDOW
    return torch.tensor(ids[: count * WINDOW]).view(count, WINDOW)


def first_window(silo: AttackedSilo) -> Counts:
    """How often every token occurs among the predicted ones of the first training window."""
    ids = window_tokens(silo, "train")[0, 1:].numpy()
    counts: Counts = np.bincount(ids, minlength=silo.anchor.architecture.vocabulary)
    return counts


def rounded(weights: NDArray[np.float64], size: int) -> Counts:
    """Whole numbers in proportion to weights that add up to ``size``, by largest remainders."""
    exact = weights / weights.sum() * size
    counts: Counts = np.floor(exact).astype(np.int64)
    for place in np.argsort(counts - exact)[: size - counts.sum()]:
        counts[place] += 1
    return counts


def overlap(one: Counts, other: Counts) -> int:
    """Size of the common part of two multisets."""
    return int(np.minimum(one, other).sum())


def tokens_of(anchor: Anchor, text: str) -> list[int]:
    """A text's tokens."""
    return text_ids(_tokenizer(anchor.path), [text])[0]


def _solve(channel: Channel, shares: NDArray[np.float64], seed: int) -> NDArray[np.float64] | None:
    """Counts in proportion, from the sharpest question that is answered; ``None`` where nothing fits."""
    anchor = channel.silo.anchor
    candidates = np.flatnonzero(shares)
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(min(EXPERTS, len(candidates) + 4), anchor.hidden_size, generator=generator)
    models = [Model(members=[expert]) for expert in _saturated_experts(anchor, directions)]
    costs = np.stack([-saturated_logprobs(anchor, direction).numpy() for direction in directions])[:, candidates]
    for ask in _questions(channel, models):
        answers = ask()
        known = [number for number, answer in enumerate(answers) if answer is not None]
        if not known:
            continue
        losses = np.array([answers[number].loss for number in known])  # type: ignore[union-attr]
        # Counts are shares of a window here, so they add up to one: one equation more.
        system = np.vstack([costs[known], np.full(len(candidates), 10.0)])
        solution, residual = nnls(system, np.append(losses, 10.0))
        if residual / np.sqrt(len(known)) < _CONSISTENT and len(known) >= len(candidates) // 2:
            spread = np.zeros_like(shares)
            spread[candidates] = solution
            return spread
    return None


def _questions(channel: Channel, models: list[Model]) -> list[Callable[[], list[Figures | None]]]:
    """From the sharpest to what is always allowed."""
    return [
        lambda: channel.evaluate(models, split="train", windows=1),
        lambda: channel.measure(models[:1], split="train"),
        lambda: channel.measure_each(models),
    ]


_PACKED: dict[tuple[str, bytes], CraftedExpert] = {}
"""Experts are the same for every silo, so they are packed once."""


def _saturated_experts(anchor: Anchor, directions: torch.Tensor) -> list[CraftedExpert]:
    made = []
    for number, direction in enumerate(directions):
        key = (anchor.digest, direction.numpy().tobytes())
        if key not in _PACKED:
            _PACKED[key] = pack_block(anchor, f"puppet-{number}", saturated_block(anchor, direction))
        made.append(_PACKED[key])
    return made


@functools.lru_cache(maxsize=4)
def _tokenizer(anchor: Path) -> Any:
    return Anchor.open(anchor).tokenizer()


def _eos(anchor: Anchor) -> int:
    return int(_tokenizer(anchor.path).eos_token_id)
