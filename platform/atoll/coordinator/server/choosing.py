"""Which experts a release, or a measurement before it, is made of."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from atoll.coordinator.server.shop import KnownExpert, Shop
from atoll.errors import AtollError
from atoll.federation.units import MemberRef
from atoll.ledger import State


def current_experts(state: State, anchor: str) -> dict[str, str]:
    """The latest expert of each owner that may be used for something now: digests by owner."""
    now = datetime.now(UTC)
    found: dict[str, str] = {}
    for digest, expert in state.experts.items():
        if expert.accepted.anchor == anchor and expert.consents.now.permits_something(now):
            found[expert.accepted.owner] = digest
    return found


def harmful_experts(state: State, current: Mapping[str, str], *, spared: Collection[str]) -> dict[str, str]:
    """Whose expert does harm, and who says so.

    The worst goes first, and whoever's own expert has gone has no say any more: else the owner of a poisoned expert
    could throw out those that its own fights with.

    Args:
        state: The present.
        current: Digests of experts by owner.
        spared: Owners who stay in any case.
    """
    flags = sorted(
        (
            (added, owner, by)
            for owner, digest in current.items()
            for by, added in state.experts[digest].flagged.items()
        ),
        reverse=True,
    )
    gone: dict[str, list[str]] = {}
    for added, owner, by in flags:
        if owner not in spared and by not in gone:
            gone.setdefault(owner, []).append(f"{by} (+{added:.3f} nats)")
    return {owner: ", ".join(said) for owner, said in gone.items()}


@dataclass(frozen=True, slots=True)
class Chosen:
    """Members of a mixture.

    Attributes:
        kind: Of their experts; empty where there is none.
        members: By owner's name.
        left: Owners who have an expert that is not among them, and why.
    """

    kind: str
    members: list[MemberRef]
    left: dict[str, str]


def choose_members(
    shop: Shop, state: State, *, without: Collection[str] = (), flagged: Collection[str] | None = ()
) -> Chosen:
    """Members for a mixture, all of one kind: that of the expert that was accepted last.

    Args:
        shop: The coordinator.
        state: The present.
        without: Owners to leave out.
        flagged: Owners who are taken although a silo flagged their expert; ``None`` takes all.
    """
    found: dict[str, tuple[str, KnownExpert]] = {}
    left: dict[str, str] = {}
    current = current_experts(state, shop.anchor.digest)
    harmful = {} if flagged is None else harmful_experts(state, current, spared=flagged)
    for owner, digest in current.items():
        if owner in without:
            left[owner] = "not wanted"
        elif owner in harmful:
            left[owner] = f"flagged by {harmful[owner]}"
        else:
            try:
                found[owner] = digest, shop.expert(state, digest)
            except AtollError as error:
                left[owner] = f"not at hand: {error}"
    if not found:
        return Chosen("", [], left)
    order = list(state.experts)
    kind = max(found.values(), key=lambda each: order.index(each[0]))[1].card.kind
    members = []
    for owner, (digest, known) in sorted(found.items()):
        if known.card.kind == kind:
            members.append(MemberRef(owner=owner, digest=digest, blob=known.blob, public_key=known.public_key.hex))
        else:
            left[owner] = f"of kind {known.card.kind}, and the others are {kind}"
    return Chosen(kind, members, left)
