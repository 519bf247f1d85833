"""What silos measure: what each expert does to everyone else's loss, before a release; privacy, after it."""

import math
from collections.abc import Sequence
from dataclasses import replace

from atoll.coordinator.server.calls import AuditCall
from atoll.coordinator.server.choosing import choose_members
from atoll.coordinator.server.shop import Shop
from atoll.experts.signing import Signer
from atoll.federation.measuring import Candidate, Measurement, MeasureUnit
from atoll.federation.units import WORST_LOSS, Choice, EvaluateReply, MemberRef
from atoll.ledger import ExpertFlagged, Fact, State
from atoll.releases.release import Release
from atoll.workloads.workload import workload_class

ALL = "all"


def compose(shop: Shop, state: State) -> MeasureUnit | None:
    """The mixture of all experts that might be released, and the same without each of them; nothing without experts."""
    members = choose_members(shop, state, flagged=None).members
    if not members:
        return None
    scores = workload_class(shop.anchor.workload).score_names
    return unit_of(shop.key, shop.anchor.digest, members, shop.config.integrator, shop.config.router, scores)


def unit_of(
    key: Signer,
    anchor: str,
    members: list[MemberRef],
    integrator: Choice,
    router: Choice,
    scores: Sequence[str] = (),
) -> MeasureUnit:
    """What each of these experts does to everyone else's loss.

    It is one candidate, and each owner's part in it is an entitlement: a node's budget counts one new model, and one
    loss more than there are owners.

    Args:
        key: The coordinator's.
        anchor: Digest of the anchor.
        members: The experts.
        integrator: What makes the mixture of them.
        router: Over what.
        scores: Figures that are wanted of the whole mixture beside its loss.
    """
    owners = [member.owner for member in members]
    candidate = Candidate.sign(key, anchor=anchor, members=members, integrator=integrator, router=router)
    measurements = [Measurement(name=ALL, candidate=candidate.digest, scores=list(scores))]
    for owner in owners:
        kept = [each for each in owners if each != owner]
        measurements.append(Measurement(name=_without(owner), candidate=candidate.digest, entitlement=kept))
    return MeasureUnit(anchor=anchor, candidates=[candidate], measurements=measurements)


def compose_audit(shop: Shop, release: Release, call: AuditCall) -> MeasureUnit:
    """A release, with its router, for its members to audit; the measurement is named by the release's digest."""
    candidate = Candidate.sign(
        shop.key,
        anchor=shop.anchor.digest,
        members=release.members,
        integrator=release.integrator,
        router=release.router,
        shared=release.shared,
    )
    return MeasureUnit(
        anchor=shop.anchor.digest,
        candidates=[candidate],
        measurements=[Measurement(name=release.digest, candidate=candidate.digest)],
        audit=replace(call.audit, release=release.digest),
        replay=shop.config.generator(shop.anchor.workload),
    )


def flags(unit: MeasureUnit, by: str, reply: EvaluateReply, limit: float) -> list[Fact]:
    """Experts that cost a silo more than ``limit`` nats a token; its own expert is its own affair.

    Losses come rounded and with noise, so that a small difference may be none: one is believed that lies above the
    limit by a step and two standard deviations of the difference.
    """
    doubt = reply.step + 2 * math.sqrt(2) * reply.noise
    found: list[Fact] = []
    for member in unit.candidates[0].members:
        added = reply.loss.get(ALL, 0.0) - reply.loss.get(_without(member.owner), 0.0)
        added = added if math.isfinite(added) else WORST_LOSS
        if member.owner != by and added > limit + doubt:
            found.append(ExpertFlagged(owner=member.owner, expert=member.digest, by=by, added=round(added, 6)))
    return found


def known_only(facts: list[Fact], state: State) -> list[Fact]:
    """Those about experts that are in the ledger."""
    return [fact for fact in facts if isinstance(fact, ExpertFlagged) and fact.expert in state.experts]


def _without(owner: str) -> str:
    return f"without {owner}"
