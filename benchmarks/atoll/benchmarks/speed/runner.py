"""Whole models that are to be timed: what each does in a step, and that they do the same."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from atoll.errors import MixtureError


@dataclass(frozen=True, eq=False, slots=True)
class Runner:
    """One implementation of a mixture, ready for one action.

    Attributes:
        name: For tables.
        forward: Token ids [B, S] to logits [B, S, V].
        trained: What an action trains; nothing for inference.
    """

    name: str
    forward: Callable[[Tensor], Tensor]
    trained: Sequence[Tensor] = ()

    def step(self, ids_BS: Tensor) -> None:
        """Forward; where something is trained also the gradients of the next-token loss. No optimizer."""
        if not self.trained:
            with torch.no_grad():
                self.forward(ids_BS)
            return
        logits_BSV = self.forward(ids_BS)
        loss = functional.cross_entropy(logits_BSV[:, :-1].flatten(0, 1).float(), ids_BS[:, 1:].flatten())
        torch.autograd.grad(loss, self.trained, allow_unused=True)


def check_same(ours: Runner, theirs: Runner, ids_BS: Tensor, tolerance: float = 1e-3) -> None:
    """Compare logits.

    Args:
        ours: Ours.
        theirs: Another implementation of the same mathematics, on the same weights.
        ids_BS: Tokens.
        tolerance: As a share of the largest logit.

    Raises:
        MixtureError: they differ by more, or are not finite, so timings would mean nothing.
    """
    with torch.no_grad():
        found, expected = ours.forward(ids_BS).float(), theirs.forward(ids_BS).float()
    difference = float((found - expected).abs().max() / expected.abs().max())
    if not difference <= tolerance:
        raise MixtureError(
            f"'{ours.name}' and '{theirs.name}' give logits that differ by {difference:.1e} of the largest: "
            "not the same computation, so there is nothing to time"
        )
