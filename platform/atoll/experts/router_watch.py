"""Watches a router in training, and says when its updates end."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from atoll.experts.stop_config import CONVERGED, NEVER, RouterStop
from atoll.mixture import Call

_LOOK = 10
"""Steps between looks."""


class RouterWatch:
    """Asked before every step; once it has said that the updates end, it says so for good.

    Attributes:
        stopped: Steps in which the router was updated; 0 as long as it is.
    """

    def __init__(self, config: RouterStop) -> None:
        """Nothing is seen yet."""
        self.config, self.stopped = config, 0
        self._calm, self._last_T = 0, torch.zeros(0, dtype=torch.long)

    def updates(self, step: int, choices: Callable[[], Tensor]) -> bool:
        """Whether the router is updated in a step.

        Args:
            step: Its number, from 0; every step in turn.
            choices: First choices [T] for the same tokens every time; called at looks only.
        """
        config = self.config
        if config.when == NEVER or (step < config.after and not self.stopped):
            return True
        if not self.stopped and (config.when != CONVERGED or self._settled(step, choices)):
            self.stopped = step
        return not self.stopped

    def _settled(self, step: int, choices: Callable[[], Tensor]) -> bool:
        if step % _LOOK:
            return False
        now_T = choices().cpu()
        if self._last_T.numel():
            same = float((now_T == self._last_T).float().mean())
            self._calm = self._calm + 1 if same >= self.config.agreement else 0
        self._last_T = now_T
        return self._calm >= self.config.patience

    def state(self) -> dict[str, Tensor]:
        """What it has seen, for a checkpoint."""
        return {"watch": torch.tensor([self.stopped, self._calm]), "choices": self._last_T}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over what :meth:`state` gave."""
        self.stopped, self._calm = map(int, state["watch"])
        self._last_T = state["choices"]


def first_choices(call: Call) -> Tensor:
    """The slot [T] with the largest weight, of the latest forward pass: all its tokens, site after site."""
    kept_T = None if call.mask_BS is None else call.mask_BS.flatten()
    found = [
        routing.slots_TK.gather(1, routing.weights_TK.argmax(1, keepdim=True)).squeeze(1)
        for _, routing in sorted(call.routing.items())
    ]
    return torch.cat([chosen_T if kept_T is None else chosen_T[kept_T] for chosen_T in found])
