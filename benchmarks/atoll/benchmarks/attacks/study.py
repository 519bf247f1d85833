"""Study ``node-attacks``: what a coordinator with a valid key learns of single documents, with a gate and without."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, final

from atoll.benchmarks.attacks import inversion, membership, nested, shares, tokens, versions
from atoll.benchmarks.attacks.scenario import DEFAULT, OFF, AttackResult, Scenario
from atoll.benchmarks.suites.figure import Figures, lower, neither
from atoll.benchmarks.suites.outcome import Outcome
from atoll.benchmarks.suites.study import Study, Work
from atoll.errors import ConfigError

ATTACKS: Mapping[str, tuple[str, Callable[[Scenario], AttackResult]]] = {
    "token-oracle": (tokens.STATISTIC, tokens.run),
    "nested-difference": (nested.STATISTIC, nested.run),
    "version-difference": (versions.STATISTIC, versions.run),
    "puppet-shares": (shares.STATISTIC, shares.run),
    "repeated-calls": (membership.STATISTIC, membership.run),
    "test-document": (membership.TEST_STATISTIC, membership.run_test),
    "gradient-inversion": (inversion.STATISTIC, inversion.run),
}
"""By name: the statistic in words, and the attack."""


@final
@dataclass(frozen=True)
class NodeAttacks(Study):
    """Every method is an attack, made with and without a gate.

    Its figure is ``success`` under the default policy, in the attack's own unit, with ``success_low`` and
    ``success_high`` as ends of its 95 % interval; ``ungated`` is the same where nothing is refused, ``chance`` what
    asking nothing reaches, and ``models``, ``trainings`` and ``refusals`` what a silo's node answered and refused.

    Attributes:
        targets: Documents or windows that are attacked.

    Raises:
        ConfigError: no target.
    """

    name: ClassVar[str] = "node-attacks"
    targets: int = 20

    def __post_init__(self) -> None:
        if self.targets < 1:
            raise ConfigError(f"study 'node-attacks': targets is {self.targets}; it must be at least 1")

    def methods(self) -> Mapping[str, str]:
        """The attacks, with what is counted."""
        return {name: statistic for name, (statistic, _) in ATTACKS.items()}

    def figures(self) -> Figures:
        """Less success is better for the silo."""
        return Figures(
            metrics=(
                *lower("success", "success_low", "success_high", "ungated", "ungated_low", "ungated_high"),
                *neither("chance", "models", "trainings", "refusals"),
            )
        )

    def run(self, work: Work) -> Outcome:
        """One attack on all of its targets, without a gate and with one."""
        _, attack = ATTACKS[work.method.name]
        metrics: dict[str, float] = {}
        for turn, (gate, name) in enumerate({OFF: "ungated", DEFAULT: "success"}.items()):
            work.tell(turn, 2, f"gate: {gate}")
            scenario = Scenario(folder=work.folder / "scenario", gate=gate, targets=self.targets, seed=work.seed)
            found = attack(scenario)
            metrics |= {
                name: found.estimate.value,
                f"{name}_low": found.estimate.low,
                f"{name}_high": found.estimate.high,
            }
        spent = scenario.spent
        metrics |= {
            "chance": found.chance,
            "models": sum(one.models for one in spent) / self.targets,
            "trainings": sum(one.trainings for one in spent) / self.targets,
            "refusals": sum(one.refusals for one in spent) / self.targets,
        }
        return Outcome(metrics=metrics)
