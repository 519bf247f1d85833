"""Baseline ``fedavg-replay``: federated averaging with experience replay at the owners, FedAvg+ER in comparisons of
federated continual learning.
"""

from dataclasses import dataclass
from typing import ClassVar, final

from atoll.continual.baseline import Baseline, Observe, Sees, World
from atoll.strategies.baselines.fedavg import averaging
from atoll.strategies.baselines.federated import run_federated


@final
@dataclass(frozen=True, slots=True)
class FederatedReplay(Baseline):
    """As ``fedavg``, but an earlier owner has kept only a few samples: those who come now train on all that they have.

    There, a client meets one task after the other and keeps some samples of each. Here an owner comes once: after its
    stage it keeps its share of the budget's samples of replay, evenly spaced in its data, and trains on these with as
    many steps as before. The average weighs owners by what they came with, as in ``fedavg``, so that the two differ in
    what is kept alone.
    """

    name: ClassVar[str] = "fedavg-replay"
    sees: ClassVar[Sees] = "earlier owners"

    def run(self, world: World, observe: Observe) -> None:
        """Go on with one owner more in every stage; those for whom no sample is left take no part."""
        run_federated(self.name, world, observe, averaging, keep=True)
