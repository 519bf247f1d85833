"""Baseline ``fedavg``: federated averaging (McMahan et al. 2017, arXiv 1602.05629), by Flower's strategy."""

from dataclasses import dataclass
from typing import ClassVar, final

from flwr.serverapp.strategy import FedAvg

from atoll.continual.baseline import Baseline, Observe, Sees, World
from atoll.strategies.baselines.federated import run_federated


@final
@dataclass(frozen=True, slots=True)
class FederatedAveraging(Baseline):
    """Everyone who has come trains the whole model in every round; the average weighs owners by what they have."""

    name: ClassVar[str] = "fedavg"
    sees: ClassVar[Sees] = "earlier owners"

    def run(self, world: World, observe: Observe) -> None:
        """Go on with one owner more in every stage."""
        run_federated(self.name, world, observe, averaging)


def averaging(nodes: int) -> FedAvg:
    """Flower's strategy for so many nodes, all of which train."""
    return FedAvg(fraction_evaluate=0.0, min_train_nodes=nodes, min_available_nodes=nodes)
