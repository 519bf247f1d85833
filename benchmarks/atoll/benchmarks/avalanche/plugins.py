"""What a comparison adds to Avalanche's classes. It imports Avalanche, and is to be imported in functions only."""

from typing import Any

import torch
from avalanche.core import SupervisedPlugin
from avalanche.models import MultiTaskModule
from torch import Tensor, nn

IMPOSSIBLE = -1e4
"""The logit of a class that a context rules out: finite, for gradients' sake, and no probability in float32."""


class StopAfter(SupervisedPlugin):  # type: ignore[misc]
    """Ends the training on an experience after so many steps, whatever epochs they are."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.done = 0

    def before_training_exp(self, strategy: Any, **given: Any) -> None:
        """Count anew."""
        self.done = 0

    def after_training_iteration(self, strategy: Any, **given: Any) -> None:
        """Count, and end."""
        self.done += 1
        if self.done >= self.steps:
            strategy.stop_training()


class PathIntegral(SupervisedPlugin):  # type: ignore[misc]
    """Synaptic intelligence (Zenke, Poole and Ganguli 2017, arXiv 1703.04200, equations 3 to 5).

    Avalanche 0.6.0 has it too, but on a CPU the weights that its plug-in remembers share their memory with the model's:
    they never differ, importances stay zero, and the strategy is ``Naive``. The path integral is taken of the whole
    gradient, penalty and all, as in van de Ven and Tolias's implementation.

    Attributes:
        strength: c of equation 4.
        damping: ξ of equation 5.
    """

    def __init__(self, strength: float, damping: float) -> None:
        super().__init__()
        self.strength = strength
        self.damping = damping
        self._importance: dict[str, Tensor] = {}
        self._start: dict[str, Tensor] = {}
        self._last: dict[str, Tensor] = {}
        self._path: dict[str, Tensor] = {}

    def before_training_exp(self, strategy: Any, **given: Any) -> None:
        """A path begins where the last one ended."""
        self._start = _copies(strategy.model)
        self._last = _copies(strategy.model)
        self._path = {name: torch.zeros_like(value) for name, value in self._start.items()}

    def before_backward(self, strategy: Any, **given: Any) -> None:
        """Equation 4."""
        for name, value in strategy.model.named_parameters():
            if name in self._importance:
                strategy.loss += self.strength * (self._importance[name] * (value - self._start[name]).square()).sum()

    def after_update(self, strategy: Any, **given: Any) -> None:
        """Equation 3: what each weight's step took off the loss."""
        now = _copies(strategy.model)
        for name, value in strategy.model.named_parameters():
            if value.grad is not None:
                self._path[name] -= value.grad * (now[name] - self._last[name])
        self._last = now

    def after_training_exp(self, strategy: Any, **given: Any) -> None:
        """Equation 5."""
        for name, path in self._path.items():
            moved = self._last[name] - self._start[name]
            earned = path.clamp_min(0) / (moved.square() + self.damping)
            self._importance[name] = self._importance.get(name, torch.zeros_like(path)) + earned


class ToldContexts(MultiTaskModule):  # type: ignore[misc]
    """A classifier that is told the context, and chooses among its classes: one model, with outputs of its own for
    every context.

    Attributes:
        backbone: From a batch to logits [B, C].
        allowed: bool [contexts, C].
    """

    def __init__(self, backbone: nn.Module, allowed: Tensor) -> None:
        super().__init__()
        self.backbone = backbone
        self.register_buffer("allowed", allowed)

    def forward(self, x: Tensor, task_labels: Tensor | None) -> Tensor | dict[int, Tensor]:
        """Logits [B, C]; of every context that was trained on, where none is told.

        Args:
            x: Inputs [B, ...].
            task_labels: [B], the contexts; ``None`` for all.
        """
        logits_BC = self.backbone(x)
        if task_labels is None:
            known = sorted(self.known_train_tasks_labels)
            return {task: self._within(logits_BC, torch.full(x.shape[:1], task)) for task in known}
        return self._within(logits_BC, torch.as_tensor(task_labels))

    def _within(self, logits_BC: Tensor, task_B: Tensor) -> Tensor:
        allowed_BC = self.allowed[task_B.to(logits_BC.device, torch.int64)]
        return logits_BC.masked_fill(~allowed_BC, IMPOSSIBLE)


def _copies(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.named_parameters()}
