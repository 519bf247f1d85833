"""Study ``node-attacks``: what a coordinator with a valid key learns of single documents, past a gate and without one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, final

from atoll.benchmarks.attacks import inversion, membership, nested, shares, tokens, versions
from atoll.benchmarks.attacks.world import GATES, Found, World
from atoll.benchmarks.suites.outcome import Outcome
from atoll.benchmarks.suites.study import Study, Work
from atoll.errors import ConfigError

ATTACKS: Mapping[str, tuple[str, Callable[[World], Found]]] = {
    "token-oracle": (tokens.STATISTIC, tokens.run),
    "nested-difference": (nested.STATISTIC, nested.run),
    "version-difference": (versions.STATISTIC, versions.run),
    "puppet-shares": (shares.STATISTIC, shares.run),
    "repeated-calls": (membership.STATISTIC, membership.run),
    "gradient-inversion": (inversion.STATISTIC, inversion.run),
}
"""By name: the statistic in words, and the attack."""


@final
@dataclass(frozen=True)
class NodeAttacks(Study):
    """Every method is an attack; its figure is ``success``, whose unit is the attack's own, with ``success_low`` and
    ``success_high`` as ends of its 95 % interval, ``chance`` for who asks nothing, and what it used of the budget.

    Attributes:
        gate: ``off`` for a node without a gate (what commit da9bb40 let through), ``default`` for the node's gate under
            the product's default policy.
        targets: Documents or windows that are attacked.

    Raises:
        ConfigError: another gate, or no target.
    """

    name: ClassVar[str] = "node-attacks"
    gate: str = "default"
    targets: int = 20

    def __post_init__(self) -> None:
        if self.gate not in GATES:
            raise ConfigError(f"study 'node-attacks': gate is '{self.gate}'; it is {' or '.join(GATES)}")
        if self.targets < 1:
            raise ConfigError(f"study 'node-attacks': targets is {self.targets}; it must be at least 1")

    def methods(self) -> Mapping[str, str]:
        """The attacks, with what is counted."""
        return {name: statistic for name, (statistic, _) in ATTACKS.items()}

    def run(self, work: Work) -> Outcome:
        """One attack on all of its targets."""
        world = World(folder=work.folder / "world", gate=self.gate, targets=self.targets, seed=work.seed)
        _, attack = ATTACKS[work.method.name]
        found = attack(world)
        spent = world.spent
        metrics = {
            "success": found.estimate.value,
            "success_low": found.estimate.low,
            "success_high": found.estimate.high,
            "chance": found.chance,
            "targets": float(found.estimate.targets),
            "models_a_silo": sum(one.models for one in spent) / len(spent),
            "trainings_a_silo": sum(one.trainings for one in spent) / len(spent),
            "refusals_a_silo": sum(one.refusals for one in spent) / len(spent),
        }
        return Outcome(metrics=metrics)
