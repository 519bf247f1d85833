"""What a coordinator may ask a node to measure: entitlements within signed candidates, and nothing else."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Self

from atoll.errors import FederationError
from atoll.experts.signing import Signer
from atoll.federation.handover import Paper
from atoll.federation.units import Choice, MemberRef, Unit
from atoll.privacy.audit_config import AuditConfig

MOST = 1000
"""Candidates, or measurements, of one unit."""


@dataclass(frozen=True, kw_only=True)
class Candidate(Paper):
    """A mixture that might be released, or was: all that decides what it computes, under one digest.

    Attributes:
        anchor: Digest of the anchor.
        members: Its experts.
        integrator: What makes the mixture of them.
        router: Over what, with its options.
        shared: Digest of the blob with the router's fitted rows; empty for none.
    """

    anchor: str
    members: list[MemberRef]
    integrator: Choice
    router: Choice
    shared: str = ""

    @property
    def digest(self) -> str:
        """``sha256:…`` over the content; the members' order and who signed it play no part."""
        content = {
            "anchor": self.anchor,
            "members": sorted([member.owner, member.digest, member.public_key] for member in self.members),
            "integrator": asdict(self.integrator),
            "router": asdict(self.router),
            "shared": self.shared,
        }
        raw = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return f"sha256:{hashlib.sha256(b'atoll candidate 1' + raw.encode()).hexdigest()}"

    @property
    def owners(self) -> list[str]:
        """Names of the members, sorted."""
        return sorted(member.owner for member in self.members)

    @classmethod
    def sign(
        cls,
        key: Signer,
        *,
        anchor: str,
        members: list[MemberRef],
        integrator: Choice,
        router: Choice,
        shared: str = "",
    ) -> Self:
        """A candidate that the coordinator answers for.

        Args:
            key: The coordinator's.
            anchor: Digest of the anchor.
            members: Its experts.
            integrator: What makes the mixture of them.
            router: Over what.
            shared: Digest of the fitted rows' blob; empty for none.
        """
        made = cls(
            public_key=key.public.hex,
            anchor=anchor,
            members=members,
            integrator=integrator,
            router=router,
            shared=shared,
        )
        return made.signed(key)


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One model to be measured.

    Attributes:
        name: What the result is called.
        candidate: Digest of a candidate of the unit; empty for the anchor by itself.
        entitlement: Members that may answer; ``None`` for all.
        baseline: An integrator that the node's policy lists, in place of the candidate's; empty for the candidate's.
        alone: The node's own expert by itself, as it was trained; a node that is no member skips the measurement.
        scores: Names of further figures that are wanted beside the loss; each costs the node's budget.
        shares: Whether the routing weight of each slot is wanted; each slot costs the node's budget.
    """

    name: str
    candidate: str = ""
    entitlement: list[str] | None = None
    baseline: str = ""
    alone: bool = False
    scores: list[str] = field(default_factory=list)
    shares: bool = False


@dataclass(frozen=True, kw_only=True)
class MeasureUnit(Unit):
    """Measure entitlements within candidates on a node's own data; which documents those are is the node's choice.

    Attributes:
        anchor: Digest that the node's anchor must have.
        candidates: Every mixture that a measurement names, signed by the coordinator.
        measurements: The models.
        split: ``test``, or ``validation`` where the node's owner lets it be measured.
        audit: What to measure of the privacy of the measurement that it names; ``None`` for nothing.
        replay: Generator of the published replay that the audit looks at; ``None`` for no replay.
    """

    anchor: str
    candidates: list[Candidate]
    measurements: list[Measurement]
    split: str = "test"
    audit: AuditConfig | None = None
    replay: Choice | None = None

    @property
    def needs(self) -> list[str]:
        """Digests of the blobs without which it cannot be done."""
        blobs = [member.blob for candidate in self.candidates for member in candidate.members]
        return list(dict.fromkeys([*blobs, *(each.shared for each in self.candidates if each.shared)]))

    def candidate(self, digest: str) -> Candidate:
        """The candidate of that digest.

        Raises:
            FederationError: the unit has none.
        """
        for each in self.candidates:
            if each.digest == digest:
                return each
        raise FederationError(f"a measurement names candidate {digest[:80]!r}, which the unit does not have")

    def check(self) -> None:
        """Raise FederationError for measurements that name nothing, or that cannot be told apart, and for too many."""
        most = max(len(self.candidates), len(self.measurements))
        if most > MOST:
            raise FederationError(f"the unit has {most} candidates or measurements; at most {MOST} are read")
        names = [each.name for each in self.measurements]
        if len(set(names)) < len(names):
            raise FederationError("two measurements of the unit have one name")
        for each in self.candidates:
            if each.anchor != self.anchor:
                raise FederationError(f"candidate {each.digest[:19]} is of another anchor than the unit")
            if not each.members or len(set(each.owners)) < len(each.members):
                raise FederationError(f"candidate {each.digest[:19]} has no member, or one owner twice")
        for each_asked in self.measurements:
            self._check_measurement(each_asked)
        if self.audit is not None and self.audit.on and self.audit.release not in names:
            raise FederationError(f"the audit is of '{self.audit.release[:80]}', which the unit does not measure")

    def _check_measurement(self, asked: Measurement) -> None:
        if not asked.candidate:
            if asked.entitlement or asked.baseline or asked.alone:
                raise FederationError(f"measurement '{asked.name[:80]}' has options, but names no candidate")
            return
        odd = sorted(set(asked.entitlement or ()) - set(self.candidate(asked.candidate).owners))
        if odd:
            raise FederationError(
                f"measurement '{asked.name[:80]}' names {odd[0][:80]}, who is no member of its candidate"
            )
        if asked.alone and (asked.baseline or asked.entitlement is not None):
            raise FederationError(f"measurement '{asked.name[:80]}' is of one expert alone, so it has no other options")
