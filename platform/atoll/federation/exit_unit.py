"""The work unit of an exit: the owner that leaves measures what the release without its expert tells of its data."""

from dataclasses import dataclass, field

from atoll.federation.units import Choice, MemberRef, Unit
from atoll.privacy.unlearning_config import UnlearningConfig


@dataclass(frozen=True, kw_only=True)
class ReleaseModel:
    """One model of an exit's comparison, with its own experts and fitted rows.

    Attributes:
        members: Its experts.
        integrator: What makes the mixture of them.
        router: Over what.
        shared: Digest of the blob with the router's fitted rows; empty for none.
        entitlement: Owners that may answer; ``None`` for all members.
    """

    members: list[MemberRef]
    integrator: Choice
    router: Choice
    shared: str = ""
    entitlement: list[str] | None = None


@dataclass(frozen=True, kw_only=True)
class ExitUnit(Unit):
    """Compare models with and without the owner's expert on its own documents.

    Attributes:
        anchor: Digest that the silo's anchor must have.
        models: By one of :data:`atoll.privacy.scorecard.MODELS`: ``before``, ``after`` and, where there is one,
            ``never_had``.
        scorecard: What is measured, on how much.
        batch: Documents in one forward pass.
    """

    anchor: str
    models: dict[str, ReleaseModel]
    scorecard: UnlearningConfig
    batch: int = 8

    @property
    def needs(self) -> list[str]:
        """Digests of the blobs without which it cannot be done, each once."""
        found = [member.blob for model in self.models.values() for member in model.members]
        return list(dict.fromkeys([*found, *(model.shared for model in self.models.values() if model.shared)]))


@dataclass(frozen=True, kw_only=True)
class ExitReply(Unit):
    """What an exit's comparison found.

    Attributes:
        missing: Digests of blobs that did not come and are not held; where there is one, nothing was measured.
        figures: Of the scorecard, by names that start with ``unlearning_``.
    """

    missing: list[str] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)
