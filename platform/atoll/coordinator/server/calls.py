"""What an operator calls for. A call is written into the ledger; whoever runs the coordinator does it."""

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from atoll.config import read_config
from atoll.coordinator.config import DescriptorConfig
from atoll.coordinator.server.latest import Latest
from atoll.errors import ConfigError
from atoll.experts.arrival_config import ArrivalConfig
from atoll.experts.privacy_config import PrivacyConfig
from atoll.experts.training import ExpertConfig, TrainingConfig
from atoll.federation.units import Choice, Past, TrainUnit, Unit
from atoll.ledger import Called, Ledger
from atoll.privacy.audit_config import AuditConfig

TRAIN, EVALUATE, RELEASE, AUDIT = "train", "evaluate", "release", "audit"


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """How experts are trained.

    Attributes:
        expert: What they are made of.
        training: The optimization.
        privacy: Differential privacy of it.
        descriptor: How domains are described.
        router: The router that coordinated experts train beside.
        beside: Train beside the experts of the latest release, on replay of their domains; where there is none yet,
            beside the anchor alone.
        arrival: How, for experts that are trained beside others.
        seed: Of everything random.
    """

    expert: ExpertConfig = field(default_factory=ExpertConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    privacy: PrivacyConfig = field(default_factory=PrivacyConfig)
    descriptor: DescriptorConfig = field(default_factory=DescriptorConfig)
    router: Choice = field(default_factory=lambda: Choice(name="top-k"))
    beside: bool = False
    arrival: ArrivalConfig = field(default_factory=ArrivalConfig)
    seed: int = 0

    def unit(self, anchor: str, past: Past | None = None) -> TrainUnit:
        """The work unit.

        Args:
            anchor: Digest of the anchor.
            past: What experts are trained beside, if they are; its generator is the one that owners' priors are made
                for, so that those who come later can be trained beside them.

        Raises:
            ConfigError: settings that cannot be.
        """
        self.arrival.check()
        self.descriptor.check()
        made = TrainUnit(
            anchor=anchor,
            expert=self.expert,
            training=self.training,
            router=self.router,
            embedder=self.descriptor.embedder,
            descriptor_documents=self.descriptor.documents,
            descriptor_counted=self.descriptor.counted,
            descriptor_directions=self.descriptor.directions,
            seed=self.seed,
            privacy=self.privacy,
            past=past,
            replay=None if past is None else past.replay,
        )
        made.check()
        return made


@dataclass(frozen=True, kw_only=True)
class TrainCall(Unit):
    """Train an expert.

    Attributes:
        nonce: Tells one call from the next.
        unit: The same for everyone.
    """

    nonce: str
    unit: TrainUnit


@dataclass(frozen=True, kw_only=True)
class EvaluateCall(Unit):
    """Measure, on silos' own data, the mixture that a release would be now, and what each expert does to it.

    Attributes:
        nonce: Tells one call from the next.
        windows: In calls of earlier versions; nodes choose what they measure on.
        batch: In calls of earlier versions.
    """

    nonce: str
    windows: int = 0
    batch: int = 0


@dataclass(frozen=True, kw_only=True)
class ReleaseCall(Unit):
    """Make a release of the experts that are there.

    Attributes:
        nonce: Tells one call from the next.
        at_least: Wait for so many experts of the latest training.
        deadline: ISO 8601: wait no longer than that.
        without: Owners to leave out.
        flagged: Owners whose experts are taken although a silo flagged them.
        like: Number of an earlier release whose content is released again, under the next number; 0 for none.
    """

    nonce: str
    at_least: int
    deadline: str
    without: list[str]
    flagged: list[str]
    like: int = 0


@dataclass(frozen=True, kw_only=True)
class AuditCall(Unit):
    """Measure what the latest release, and replay drawn from it, tell of the training data of those who are in it.

    Attributes:
        nonce: Tells one call from the next.
        audit: What is measured, and on how much.
    """

    nonce: str
    audit: AuditConfig


def call_training(
    ledger: Ledger, anchor: str, owners: list[str], overrides: list[str], latest: Latest | None = None
) -> Called:
    """Ask for experts: of these owners, or of everyone who is there or comes later.

    Args:
        ledger: Where to write.
        anchor: Digest of the anchor.
        owners: Who is asked; empty for everyone.
        overrides: Settings, as ``key=value``.
        latest: What experts are trained beside, where the settings ask for that.

    Raises:
        ConfigError: settings that cannot be.
        LedgerError: no such owner.
    """
    settings = read_config(TrainSettings, None, overrides)
    past = latest.past(settings.arrival) if settings.beside and latest is not None else None
    unit = settings.unit(anchor, past)
    return _write(ledger, TRAIN, TrainCall(nonce=_nonce(), unit=unit), owners)


def call_evaluation(ledger: Ledger, owners: list[str]) -> Called:
    """Ask silos to measure.

    Raises:
        LedgerError: no such owner.
    """
    return _write(ledger, EVALUATE, EvaluateCall(nonce=_nonce()), owners)


def call_audit(ledger: Ledger, owners: list[str], overrides: list[str]) -> Called:
    """Ask members of the latest release to audit it.

    Args:
        ledger: Where to write.
        owners: Who is asked; empty for all members.
        overrides: Settings, as ``key=value``.

    Raises:
        ConfigError: settings that cannot be.
        LedgerError: no such owner.
    """
    audit = read_config(AuditConfig, None, overrides)
    if not audit.on:
        raise ConfigError("samples is 0, and so there is nothing to audit; give how many")
    audit.check()
    return _write(ledger, AUDIT, AuditCall(nonce=_nonce(), audit=audit), owners)


def call_release(
    ledger: Ledger, *, at_least: int, within: float, without: list[str], flagged: list[str], like: int = 0
) -> Called:
    """Ask for a release.

    Args:
        ledger: Where to write.
        at_least: Wait for so many experts of the latest training.
        within: Seconds to wait at most.
        without: Owners to leave out.
        flagged: Owners whose experts are taken although a silo flagged them.
        like: Number of an earlier release to go back to; 0 for none.

    Raises:
        ConfigError: settings that cannot be.
    """
    if like and like not in ledger.state().releases:
        raise ConfigError(f"--like is {like}, and there is no such release")
    if at_least < 1:
        raise ConfigError(f"--at-least is {at_least}; a release has at least one expert")
    deadline = (datetime.now(UTC) + timedelta(seconds=within)).isoformat(timespec="seconds")
    call = ReleaseCall(
        nonce=_nonce(), at_least=at_least, deadline=deadline, without=without, flagged=flagged, like=like
    )
    return _write(ledger, RELEASE, call, [])


def _write(ledger: Ledger, work: str, call: Unit, owners: list[str]) -> Called:
    fact = Called(call=call.address, work=work, what=call.to_json(), owners=sorted(owners))
    ledger.record(fact)
    return fact


def _nonce() -> str:
    return secrets.token_hex(8)
