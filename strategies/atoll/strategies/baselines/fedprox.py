"""Baseline ``fedprox``: federated averaging with a proximal term (Li et al. 2020, arXiv 1812.06127), by Flower's
strategy.
"""

from dataclasses import dataclass
from typing import ClassVar, final

from flwr.serverapp.strategy import FedProx

from atoll.continual.baseline import Baseline, Observe, Sees, World
from atoll.errors import ConfigError
from atoll.strategies.baselines.federated import run_federated


@final
@dataclass(frozen=True, slots=True)
class FederatedProximal(Baseline):
    """As ``fedavg``, but an owner's model is held near the round's: ``mu / 2 |w - w_t|²`` is added to its loss.

    Attributes:
        mu: Weight of the term; 0 is ``fedavg``.

    Raises:
        ConfigError: it is negative.
    """

    name: ClassVar[str] = "fedprox"
    sees: ClassVar[Sees] = "earlier owners"
    mu: float = 0.01

    def __post_init__(self) -> None:
        if not 0 <= self.mu < float("inf"):
            raise ConfigError(f"baseline 'fedprox': mu is {self.mu}; it must be zero or more")

    def run(self, world: World, observe: Observe) -> None:
        """Go on with one owner more in every stage."""
        run_federated(self.name, world, observe, self._strategy)

    def _strategy(self, nodes: int) -> FedProx:
        return FedProx(fraction_evaluate=0.0, min_train_nodes=nodes, min_available_nodes=nodes, proximal_mu=self.mu)
