"""The latest release as something to train beside, and how the next one's router is fitted."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from atoll.anchors import Anchor
from atoll.coordinator.server.folder import ServerConfig, ServerFolder
from atoll.coordinator.server.own_releases import own_release
from atoll.coordinator.stream.studio import Studio
from atoll.experts.arrival_config import ArrivalConfig
from atoll.federation.blobs import BlobStore
from atoll.federation.units import Choice, Past
from atoll.ledger import State
from atoll.releases.release import Release, co_adapted, past_of


@dataclass(frozen=True, slots=True)
class Latest:
    """What a newcomer is trained beside.

    Attributes:
        config: The coordinator's.
        release: The latest one; ``None`` where there is none yet.
        replay: The generator for the anchor's workload.
        number: Releases that there are.
    """

    config: ServerConfig
    release: Release | None
    replay: Choice
    number: int

    @classmethod
    def of(cls, folder: ServerFolder, config: ServerConfig, anchor: Anchor, state: State) -> "Latest":
        """Read it, from ledger and folder; members who permit nothing any more are no part of it.

        Raises:
            MixtureError: the release's folder is damaged, or was changed.
            ConfigError: there is no generator of replay for this anchor.
        """
        numbers = sorted(state.releases)
        release = own_release(folder, state, numbers[-1]) if numbers else None
        release = None if release is None else permitted_part(release, state)
        return cls(config, release, config.generator(anchor.workload), len(numbers))

    def past(self, arrival: ArrivalConfig) -> Past:
        """As a work unit names it."""
        return past_of(
            self.release,
            integrator=self.config.integrator,
            router=self.config.router,
            stage=self.number + 1,
            arrival=arrival,
            replay=self.replay,
        )


def permitted_part(release: Release, state: State) -> Release | None:
    """The release without members whose owners permit no use of their experts now; ``None`` where nobody is left."""
    now = datetime.now(UTC)
    for member in release.members:
        if not state.experts[member.digest].consents.now.permits_something(now):
            release = release.without(member.owner)
    return release if release.members else None


def with_fitted_router(
    made: Release, latest: Latest, anchor: Anchor, packages: BlobStore, beside: Sequence[str]
) -> Release:
    """The release with a router that was fitted on synthetic samples, where the coordinator is configured so.

    Earlier owners who are members no more teach nothing: then the router is fitted from the members alone.

    Args:
        made: The release, under its number.
        latest: The one before it.
        anchor: The anchor.
        packages: Holds the experts; the fitted router goes there too.
        beside: Owners whose experts were trained beside others.

    Raises:
        PackageError: a package that does not verify, or whose prior permits no sample.
    """
    refit = latest.config.refit
    if refit.steps:
        before = latest.release
        known = before if before is not None and set(before.owners) <= set(made.owners) else None
        studio = Studio(anchor, packages, latest.replay, refit, seed=0, device="auto")
        made = replace(made, shared=packages.put(studio.fit(made, known).to_bytes()))
    return co_adapted(made, beside=bool(beside))
