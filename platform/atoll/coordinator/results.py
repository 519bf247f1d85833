"""What a run found, as plain values with a JSON form: the source of the report, the tables and the tracking."""

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from atoll.config.decode import decode
from atoll.errors import DataError
from atoll.experts.files import write_atomic

ANCHOR = "anchor"
OWN = "own expert"
MIXTURE = "mixture"
SOUP = "soup"
ENSEMBLE = "ensemble"
NEVER_HAD = "never had"
"""The mixture that was integrated without the withdrawn expert from the start."""
WITHOUT = "without "
"""Begins the name of the mixture in which one owner may not answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AnchorResult:
    """The anchor of a run.

    Attributes:
        name: What it is called.
        digest: Of its weights.
        parameters: How many it has.
    """

    name: str
    digest: str
    parameters: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SiloResult:
    """One institution, and what became of it.

    Attributes:
        name: The owner.
        domain: What its data is about, in its own words.
        documents: How many it has.
        tokens: How many they are.
        characters: How many they are.
        status: ``ok``, or ``failed`` where it was left out.
        failure: Why it was left out; empty where it was not.
    """

    name: str
    domain: str
    documents: int
    tokens: int
    characters: int
    status: str = "ok"
    failure: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Transfer:
    """Something that went between a silo and the coordinator.

    Attributes:
        silo: Whose machine.
        direction: ``out`` of the silo, or ``in``.
        what: In a word or two, such as ``expert package``.
        bytes: How large it was.
    """

    silo: str
    direction: str
    what: str
    bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """One expert of the release: whose, and its digest."""

    owner: str
    digest: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseResult:
    """The mixture that a run made.

    Attributes:
        number: Counts up from 1.
        digest: Of all that decides what it computes.
        integrator: What made it.
        router: What chooses among its experts.
        kind: Of its experts.
        guarantee: What withdrawal leaves: ``exact``, or ``co-adapted: …``.
        members: Its experts.
    """

    number: int
    digest: str
    integrator: str
    router: str
    kind: str
    guarantee: str
    members: list[Member]


@dataclass(frozen=True, kw_only=True, slots=True)
class WithdrawalResult:
    """What an owner's withdrawal changed. Losses are on the owner's own test data, in nats a unit.

    Attributes:
        owner: Who withdrew.
        release_number: The release without it.
        release_digest: The same.
        loss_before: Of the mixture with its expert.
        loss_after: Of the mixture without it.
        loss_never_had: Of a mixture that was integrated without it from the start.
        max_change_elsewhere: Largest change of loss, up or down, on any other silo.
        prompt: What was asked; empty where nothing was.
        answer_before: By the mixture with its expert.
        answer_after: By the mixture without it.
        unlearning: The scorecard that the owner measured, by names that start with ``unlearning_``
            (:mod:`atoll.privacy.scorecard`); empty where it was not there, or could not.
    """

    owner: str
    release_number: int
    release_digest: str
    loss_before: float
    loss_after: float
    loss_never_had: float
    max_change_elsewhere: float
    prompt: str = ""
    answer_before: str = ""
    answer_after: str = ""
    unlearning: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RunResults:
    """Everything that a run found.

    Attributes:
        run: What the run is called: the name of its folder.
        title: For people.
        anchor: What every expert was trained against.
        silos: The institutions, in the order of the configuration.
        losses: Test loss in nats a unit, by silo and model: ``anchor``, ``own expert``, ``mixture``, the baselines'
            names, ``without <owner>``.
        release: The mixture.
        seeds: Of everything random.
        routing: Share of the routing weight in [0, 1], by silo and slot: ``anchor`` and the owners.
        transfers: What went between the machines.
        times: Wall time in seconds, by phase.
        peak_memory_bytes: Of all processes together; 0 where it is not known.
        withdrawal: If somebody withdrew.
        command: The command line that made this run.
        versions: Of the programs that made it, by name.
        unit: What losses are given per: ``token``, ``picture``.
    """

    run: str
    title: str
    anchor: AnchorResult
    silos: list[SiloResult]
    losses: dict[str, dict[str, float]]
    release: ReleaseResult
    seeds: list[int] = field(default_factory=list)
    routing: dict[str, dict[str, float]] = field(default_factory=dict)
    transfers: list[Transfer] = field(default_factory=list)
    times: dict[str, float] = field(default_factory=dict)
    peak_memory_bytes: int = 0
    withdrawal: WithdrawalResult | None = None
    command: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    unit: str = "token"

    @property
    def measured(self) -> list[str]:
        """Names of the silos with losses, in the order of the silos."""
        return [silo.name for silo in self.silos if self.losses.get(silo.name)]

    @property
    def models(self) -> list[str]:
        """Names of the models that were measured anywhere, in the order in which they were.

        The mixture that never had an expert is left out; it belongs to the withdrawal.
        """
        found = dict.fromkeys(model for silo in self.measured for model in self.losses[silo])
        return [model for model in found if model != NEVER_HAD]

    @property
    def left(self) -> dict[str, dict[str, int]]:
        """Bytes that left each silo, by what they were; silos that sent nothing have an empty entry."""
        return _summed(self, "out")

    @property
    def arrived(self) -> dict[str, dict[str, int]]:
        """Bytes that were sent to each silo, by what they were."""
        return _summed(self, "in")

    @property
    def share_of_gain(self) -> dict[str, float]:
        """By silo, how much the mixture keeps of the gain over the anchor that the silo's own expert makes by itself.

        1 is all of it, more is better than the own expert, below 0 is worse than the anchor; silos whose own expert
        gains nothing are left out.
        """
        shares = {silo: _share(self.losses[silo]) for silo in self.measured}
        return {silo: share for silo, share in shares.items() if share is not None}

    @property
    def mean_share_of_gain(self) -> float | None:
        """Mean over silos of :attr:`share_of_gain`; ``None`` where there is none."""
        shares = list(self.share_of_gain.values())
        return sum(shares) / len(shares) if shares else None

    def mean_loss(self, model: str) -> float | None:
        """Mean over silos, each counting the same; ``None`` unless every measured silo has it."""
        found = [self.losses[silo].get(model) for silo in self.measured]
        known = [loss for loss in found if loss is not None]
        return sum(known) / len(known) if known and len(known) == len(found) else None

    def to_json(self) -> str:
        """Indented, with sorted keys where order means nothing."""
        return json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "RunResults":
        """Read :meth:`to_json`.

        Raises:
            DataError: not JSON, an unknown or missing field, a wrong type.
        """
        try:
            made = decode(json.loads(text), cls, "results")
        except (ValueError, RecursionError) as error:
            raise DataError(f"results are no JSON: {error}") from error
        assert isinstance(made, cls)
        return made

    def save(self, path: Path) -> None:
        """Write as JSON, whole or not at all."""
        write_atomic(path, self.to_json().encode("utf-8"))

    @classmethod
    def load(cls, path: Path) -> "RunResults":
        """Read what :meth:`save` wrote.

        Raises:
            DataError: no such file, or not results.
        """
        try:
            return cls.from_json(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path}: cannot be read ({error}); name the results.json of a run folder") from error
        except DataError as error:
            raise DataError(f"{path}: {error}") from error


def _share(losses: Mapping[str, float]) -> float | None:
    if not {ANCHOR, OWN, MIXTURE} <= losses.keys():
        return None
    own = losses[ANCHOR] - losses[OWN]
    return (losses[ANCHOR] - losses[MIXTURE]) / own if own > 0 and math.isfinite(own) else None


def _summed(results: RunResults, direction: str) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {silo.name: {} for silo in results.silos}
    for transfer in results.transfers:
        if transfer.direction == direction:
            of_silo = found.setdefault(transfer.silo, {})
            of_silo[transfer.what] = of_silo.get(transfer.what, 0) + transfer.bytes
    return found
