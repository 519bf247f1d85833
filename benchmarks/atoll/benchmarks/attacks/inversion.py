"""Attack ``gradient-inversion``: the tokens of one training window, from what a training of one step leaves.

One step on one window makes a package that is that window's gradient. AdamW's first step would keep its signs alone; a
gradient that is clipped far below the optimizer's ε passes through it unchanged, up to a factor. In the first layer
what enters a projection is a function of the token, so the rows of the projection's gradient lie in the span of the
window's tokens, and every token of the vocabulary can be asked whether it lies there (span check: Petrov et al. 2024,
"DAGER", arXiv 2405.15586). A LoRA of full rank whose A is known hides nothing.
"""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from atoll.anchors import Anchor
from atoll.benchmarks.attacks.channel import Channel
from atoll.benchmarks.attacks.crafted import anchor_model
from atoll.benchmarks.attacks.estimates import mean_of
from atoll.benchmarks.attacks.scenario import AttackResult, Scenario
from atoll.benchmarks.attacks.tokens import Counts, overlap, released_shares, rounded, window_tokens
from atoll.experts.package import ExpertPackage
from atoll.experts.training import ExpertConfig, TrainingConfig
from atoll.federation.units import Choice, TrainUnit
from atoll.workloads.text.order import shuffled

STATISTIC = "tokens of a training window recovered beyond what released token shares predict, of 63; mean"
_TARGET = "model.layers.0.self_attn.q_proj"
_INSIDE = 0.02
"""Share of a token's input that may lie outside of the span, for rounding."""


def run(scenario: Scenario) -> AttackResult:
    """The window that the first step reads, in every silo."""
    gains = []
    for number in range(scenario.targets):
        silo = scenario.silo(number)
        windows = window_tokens(silo, "train")
        read = windows[shuffled(0, len(windows), number, 0)]
        target = np.bincount(read[1:].numpy(), minlength=scenario.anchor.architecture.vocabulary)
        units = [
            one_window_unit(scenario.anchor, number),
            one_window_unit(scenario.anchor, number, rate=1.0),
            # What the default policy allows: many documents in the one step, clipped no further than it says.
            one_window_unit(scenario.anchor, number, batch=len(windows) // 2, rate=1e-2, clip=1e-2),
        ]
        with scenario.connected(silo) as channel:
            hits, guessed = attack_training(channel, units, released_shares(silo), target)
        gains.append(float(hits - guessed))
    return AttackResult(estimate=mean_of(gains))


def attack_training(
    channel: Channel, units: Iterable[TrainUnit], shares: NDArray[np.float64], target: Counts
) -> tuple[int, int]:
    """Recover the window that the first step reads.

    Args:
        channel: To the node.
        units: Trainings, from the sharpest to what is always allowed; the first that says something is used.
        shares: Token shares that a released package tells, [vocabulary].
        target: How often every token occurs among the window's predicted ones, for counting the hits, [vocabulary].

    Returns:
        Tokens of the window that the attack recovers, and how many the shares alone predict, both as multisets.
    """
    size = int(target.sum())
    guess = rounded(shares, size)
    for unit in units:
        package = channel.train(unit)
        if package is None:
            continue
        inside = tokens_in_span(channel.silo.anchor, package)
        if inside is not None:
            weights = np.where(inside, np.maximum(shares, 1 / size), 0.0)
            return overlap(rounded(weights, size), target), overlap(guess, target)
    return overlap(guess, target), overlap(guess, target)


def one_window_unit(anchor: Anchor, seed: int, *, batch: int = 1, rate: float = 10.0, clip: float = 1e-11) -> TrainUnit:
    """A training of one step, which leaves a gradient.

    Args:
        anchor: The public anchor.
        seed: Of the order of windows, and of LoRA's A.
        batch: Windows of a step.
        rate: Learning rate; high, for what is clipped to nearly nothing.
        clip: Largest norm of the gradient.
    """
    return TrainUnit(
        anchor=anchor.digest,
        expert=ExpertConfig(kind="lora", rank=anchor.hidden_size, alpha=float(anchor.hidden_size), modules=["q_proj"]),
        training=TrainingConfig(
            steps=1,
            batch=batch,
            learning_rate=rate,
            warmup=0,
            schedule="constant",
            clip=clip,
            evaluate_every=1,
            validation_windows=0,
            patience=0,
        ),
        router=Choice(name="domain"),
        embedder="anchor-states",
        descriptor_documents=64,
        descriptor_counted=64,
        seed=seed,
    )


def tokens_in_span(anchor: Anchor, package: ExpertPackage) -> NDArray[np.bool_] | None:
    """Which tokens [vocabulary] lie in the span of the gradient's rows; ``None`` where there is no gradient."""
    prefix = f"base_model.model.{_TARGET}"
    a, b = (package.weights[f"{prefix}.lora_{name}.weight"].double() for name in "AB")
    if not float(b.abs().max()):
        return None  # the step did not lower the validation loss, and the node kept the start
    inputs = _first_inputs(anchor).double()
    _, values, rows = torch.linalg.svd(b)
    span = rows[: int((values > 1e-4 * values[0]).sum())]
    if len(span) >= anchor.hidden_size:
        return None  # everything lies in it
    projected = inputs @ a.T
    outside = (projected - projected @ span.T @ span).norm(dim=1) / projected.norm(dim=1)
    inside: NDArray[np.bool_] = (outside < _INSIDE).numpy()
    return inside


@torch.no_grad()
def _first_inputs(anchor: Anchor) -> Tensor:
    """What enters the first layer's projections for every token, [vocabulary, D]."""
    model = anchor_model(anchor.path).model
    normed: Tensor = model.layers[0].input_layernorm(model.embed_tokens.weight)  # type: ignore[index,union-attr]
    return normed
