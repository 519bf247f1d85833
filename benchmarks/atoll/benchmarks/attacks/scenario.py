"""What every attack is given: silos to attack, a connection to each, and how much it may look at."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from atoll.anchors import Anchor, cache_root
from atoll.benchmarks.attacks.channel import Channel, Guarded, Open, Spent
from atoll.benchmarks.attacks.estimates import Estimate
from atoll.benchmarks.attacks.silo import AttackedSilo, attacked_anchor, share_cache
from atoll.experts.signing import OwnerKey

OFF, DEFAULT = GATES = ("off", "default")
"""Without a gate; and with the node's gate under the product's default policy."""


@dataclass(frozen=True, kw_only=True)
class AttackResult:
    """What an attack reached.

    Attributes:
        estimate: Its statistic, with the interval.
        chance: The statistic's expected value for an attacker who asks nothing.
    """

    estimate: Estimate
    chance: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Where an attack happens.

    Attributes:
        folder: For silos and the anchor.
        gate: ``off`` or ``default``.
        targets: How many documents or windows are attacked.
        seed: Of the silos' records and of the attacker's experts.
        spent: What every connection used.
    """

    folder: Path
    gate: str
    targets: int
    seed: int = 0
    spent: list[Spent] = field(default_factory=list)

    @cached_property
    def anchor(self) -> Anchor:
        """The public anchor."""
        return attacked_anchor(cache_root() / "attacked-anchor")

    @cached_property
    def coordinator(self) -> OwnerKey:
        """The attacker's key, which every silo's policy lists."""
        return OwnerKey.generate()

    def silo(self, number: int) -> AttackedSilo:
        """A silo of its own for each target."""
        silo = AttackedSilo.create(self.folder / self.gate / f"silo-{number}", self.anchor, f"{self.seed} {number}")
        share_cache(self.folder / "cache", silo.folder / "cache")
        return silo

    @contextmanager
    def connected(self, silo: AttackedSilo) -> Iterator[Channel]:
        """A connection to a silo's node, closed on leaving."""
        channel = Open(silo) if self.gate == OFF else Guarded(silo, self.coordinator)
        self.spent.append(channel.spent)
        try:
            yield channel
        finally:
            channel.close()
            share_cache(silo.folder / "cache", self.folder / "cache")
