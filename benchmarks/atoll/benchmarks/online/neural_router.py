"""DriftMoE's router: a small network that is trained to say which experts are right about a sample.

Shapes: B samples, D features, M outputs, one for each expert.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from river.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from atoll.benchmarks.online.streams import Sample
from atoll.errors import ConfigError

_HIDDEN = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class RouterSettings:
    """How the router learns.

    Attributes:
        learning_rate: Of Adam.
        batch: Samples to an update.
        dropout: Share of the first hidden layer left out in updates.
        noisy: Leave it out when answering too.
        standardize: Bring features to mean 0 and variance 1, by those seen so far; the published code feeds them raw.
        stop_after: Labels after which the router learns no more; 0 for never. Experts go on learning.

    Raises:
        ConfigError: a value that cannot be.
    """

    learning_rate: float = 2e-3
    batch: int = 256
    dropout: float = 0.0
    noisy: bool = False
    standardize: bool = False
    stop_after: int = 0

    def __post_init__(self) -> None:
        if self.batch < 1 or self.stop_after < 0 or not self.learning_rate > 0 or not 0 <= self.dropout < 1:
            raise ConfigError(
                f"router: batch {self.batch} must be at least 1, stop_after {self.stop_after} not negative, "
                f"learning_rate {self.learning_rate} positive, dropout {self.dropout} in [0, 1)"
            )


class NeuralRouter:
    """A perceptron D → 256 → 128 → M with rectifiers, and what it has not learnt from yet.

    Weights and dropout follow torch's own random numbers.
    """

    def __init__(self, settings: RouterSettings, features: int, outputs: int, device: torch.device) -> None:
        self._settings = settings
        self._network = _network(features, outputs, settings.dropout).to(device).train(settings.noisy)
        self._adam = torch.optim.Adam(self._network.parameters(), lr=settings.learning_rate, fused=True)
        self._device = device
        self._scaler = StandardScaler()
        self._seen = 0
        self._waiting: list[tuple[Tensor, Sequence[float]]] = []

    @torch.no_grad()
    def logits(self, x: Sample) -> Tensor:
        """How much each output is to be trusted with a sample, [M], on the CPU."""
        found: Tensor = self._network(self._read(x).to(self._device)).cpu()
        return found

    def learn(self, x: Sample, right_M: Sequence[float]) -> None:
        """Which outputs were right about a sample, as ones and zeros; updates when a batch is full."""
        self._seen += 1
        if self._settings.standardize:
            self._scaler.learn_one(x)
        if self._settings.stop_after and self._seen > self._settings.stop_after:
            return
        self._waiting.append((self._read(x), right_M))
        if len(self._waiting) == self._settings.batch:
            self._update()

    def _update(self) -> None:
        x_BD = torch.stack([x for x, _ in self._waiting]).to(self._device)
        right_BM = torch.tensor([right for _, right in self._waiting], device=self._device)
        self._waiting.clear()
        self._network.train()
        loss = binary_cross_entropy_with_logits(self._network(x_BD), right_BM)
        self._adam.zero_grad()
        loss.backward()
        self._adam.step()
        self._network.train(self._settings.noisy)

    def _read(self, x: Sample) -> Tensor:
        values = self._scaler.transform_one(x) if self._settings.standardize else x
        return torch.tensor([float(values[n]) for n in range(len(x))])


def _network(features: int, outputs: int, dropout: float) -> nn.Sequential:
    layers = nn.Sequential(
        nn.Linear(features, _HIDDEN),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(_HIDDEN, _HIDDEN // 2),
        nn.ReLU(),
        nn.Linear(_HIDDEN // 2, outputs),
    )
    for layer in layers:
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    return layers
