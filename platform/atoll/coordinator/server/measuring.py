"""What silos measure: what each expert does to everyone else's loss, before a release; privacy, after it."""

from dataclasses import replace

from atoll.coordinator.server.calls import AuditCall, EvaluateCall
from atoll.coordinator.server.choosing import choose_members
from atoll.coordinator.server.shop import Shop
from atoll.coordinator.variants import whole
from atoll.federation.units import Choice, EvaluateReply, EvaluateUnit, Variant
from atoll.ledger import ExpertFlagged, Fact, State
from atoll.releases.release import Release

ALL = "all"
_NOBODY = Choice(name="")


def compose(shop: Shop, state: State, call: EvaluateCall) -> EvaluateUnit | None:
    """The mixture of all experts that might be released, and the same without each of them; nothing without experts."""
    members = choose_members(shop, state, flagged=None).members
    if not members:
        return None
    owners = [member.owner for member in members]
    variants = [_variant(shop, ALL, owners)]
    variants += [_variant(shop, _without(owner), [each for each in owners if each != owner]) for owner in owners]
    return EvaluateUnit(
        anchor=shop.anchor.digest, members=members, variants=variants, windows=call.windows, batch=call.batch
    )


def compose_audit(shop: Shop, release: Release, call: AuditCall) -> EvaluateUnit:
    """A release, with its router, for its members to audit; the variant is named by the release's digest."""
    return EvaluateUnit(
        anchor=shop.anchor.digest,
        members=release.members,
        variants=[whole(release, release.digest)],
        shared=release.shared,
        audit=replace(call.audit, release=release.digest),
        replay=shop.config.generator(shop.anchor.workload),
    )


def flags(unit: EvaluateUnit, by: str, reply: EvaluateReply, limit: float) -> list[Fact]:
    """Experts that cost a silo more than ``limit`` nats a token; its own expert is its own affair."""
    found: list[Fact] = []
    for member in unit.members:
        added = reply.loss.get(ALL, 0.0) - reply.loss.get(_without(member.owner), 0.0)
        if member.owner != by and added > limit:
            found.append(ExpertFlagged(owner=member.owner, expert=member.digest, by=by, added=round(added, 6)))
    return found


def known_only(facts: list[Fact], state: State) -> list[Fact]:
    """Those about experts that are in the ledger."""
    return [fact for fact in facts if isinstance(fact, ExpertFlagged) and fact.expert in state.experts]


def _variant(shop: Shop, name: str, owners: list[str]) -> Variant:
    integrator = shop.config.integrator if owners else _NOBODY
    return Variant(name=name, members=owners, integrator=integrator, router=shop.config.router)


def _without(owner: str) -> str:
    return f"without {owner}"
