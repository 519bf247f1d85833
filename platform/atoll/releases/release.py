"""A release: a numbered, immutable mixture with the experts that went into it."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import ClassVar

from atoll.anchors import DEFAULT, Anchor
from atoll.config.decode import Limits
from atoll.errors import MixtureError
from atoll.experts.arrival_config import ArrivalConfig
from atoll.experts.integrator import EXACT, Integrator
from atoll.federation.units import Choice, MemberRef, Past, Unit
from atoll.plugins import build
from atoll.plugins.origin import PluginOrigin, origin_of

_READY = (DEFAULT, "smollm2")


@dataclass(frozen=True, kw_only=True)
class Release(Unit):
    """What a release consists of.

    Attributes:
        number: Counts up from 1.
        anchor: Digest of the anchor.
        anchor_name: Where the anchor is to be had: a name, or the absolute path that it had.
        kind: Of the experts.
        integrator: What made it.
        router: Over what.
        members: The experts, by owner's name.
        guarantee: What withdrawal leaves: ``exact``, or ``co-adapted: …`` with what was fitted and when.
        shared: Digest of the shared part, what was fitted over all members; empty for none.
        plugins: Which packages its router, integrator, kind and workload came from; empty in earlier releases.
    """

    # Earlier versions wrote an infinite option as such.
    limits: ClassVar[Limits] = replace(Unit.limits, infinite=True)

    number: int
    anchor: str
    anchor_name: str
    kind: str
    integrator: Choice
    router: Choice
    members: list[MemberRef]
    guarantee: str = EXACT
    shared: str = ""
    plugins: list[PluginOrigin] = field(default_factory=list)

    @property
    def digest(self) -> str:
        """Digest of all that decides what the mixture computes: not of signatures, keys, names of places or numbers.

        Of plug-ins it covers those of other packages, with their versions and code. What Atoll's own compute is held by
        this format, ``atoll release 1``, whichever version of Atoll reads it.
        """
        content: dict[str, object] = {
            "anchor": self.anchor,
            "kind": self.kind,
            "integrator": asdict(self.integrator),
            "router": asdict(self.router),
            "members": sorted([member.owner, member.digest] for member in self.members),
            "guarantee": self.guarantee,
        }
        if self.shared:
            content["shared"] = self.shared
        if outside := [asdict(plugin) for plugin in self.plugins if plugin.outside]:
            content["plugins"] = sorted(outside, key=lambda plugin: (plugin["group"], plugin["name"]))
        raw = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return f"sha256:{hashlib.sha256(b'atoll release 1' + raw.encode()).hexdigest()}"

    def without(self, owner: str) -> "Release":
        """The next release, after a withdrawal.

        Raises:
            MixtureError: the owner is no member.
        """
        kept = [member for member in self.members if member.owner != owner]
        if len(kept) == len(self.members):
            raise MixtureError(f"'{owner}' has no expert in release {self.number}: it has {', '.join(self.owners)}")
        return Release(**{**self.__dict__, "number": self.number + 1, "members": kept})

    @property
    def owners(self) -> tuple[str, ...]:
        """Names of the members."""
        return tuple(member.owner for member in self.members)


def make_release(
    number: int, anchor: Anchor, kind: str, integrator: Choice, router: Choice, members: Sequence[MemberRef]
) -> Release:
    """Describe a mixture of these experts.

    Raises:
        MixtureError: there is no expert.
        PluginError: no such integrator or router.
        ConfigError: options that they do not have.
    """
    if not members:
        raise MixtureError("no expert has arrived, so there is nothing to release")
    made: Integrator = build("atoll.integrators", integrator.name, integrator.options)
    build("atoll.routers", router.name, router.options)
    return Release(
        number=number,
        anchor=anchor.digest,
        # A folder's name alone would not find it again.
        anchor_name=anchor.name if anchor.name in _READY else str(anchor.path),
        kind=kind,
        integrator=integrator,
        router=router,
        members=sorted(members, key=lambda member: member.owner),
        guarantee=made.guarantee,
        plugins=[
            origin_of("atoll.experts", kind),
            origin_of("atoll.integrators", integrator.name),
            origin_of("atoll.routers", router.name),
            origin_of("atoll.workloads", anchor.workload),
        ],
    )


def past_of(
    release: Release | None, *, integrator: Choice, router: Choice, stage: int, arrival: ArrivalConfig, replay: Choice
) -> Past:
    """A release as something to train beside.

    Args:
        release: The latest one; ``None`` where there is none yet.
        integrator: What makes mixtures.
        router: Over what.
        stage: The one that a new expert belongs to, counted from 1.
        arrival: How it is trained.
        replay: The generator.
    """
    return Past(
        release=release.digest if release else "",
        members=release.members if release else [],
        integrator=integrator,
        router=router,
        shared=release.shared if release else "",
        stage=stage,
        arrival=arrival,
        replay=replay,
    )


def co_adapted(release: Release, *, beside: bool) -> Release:
    """The release with what a withdrawal from it leaves, where something was fitted over several owners.

    Args:
        release: With its shared part, if it has one.
        beside: Whether some of its experts were trained beside others.
    """
    traces = ["the router was fitted on synthetic samples of all members"] if release.shared else []
    traces += ["later experts were trained beside earlier ones"] if beside else []
    return replace(release, guarantee=f"co-adapted: {'; '.join(traces)}") if traces else release
