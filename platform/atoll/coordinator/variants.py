"""The models that a run compares, as every silo evaluates them."""

from atoll.coordinator.config import RunConfig
from atoll.coordinator.results import ANCHOR, MIXTURE, NEVER_HAD, OWN, WITHOUT
from atoll.federation.units import Choice, Variant
from atoll.releases.release import Release


def without(owner: str) -> str:
    """Name of the mixture in which ``owner`` may not answer."""
    return WITHOUT + owner


def whole(release: Release, name: str) -> Variant:
    """A release as it is, with its fitted rows where it has any."""
    return Variant(
        name=name,
        members=list(release.owners),
        integrator=release.integrator,
        router=release.router,
        fitted=bool(release.shared),
    )


def variants(release: Release, config: RunConfig) -> list[Variant]:
    """Anchor, own expert alone, the mixture, the baselines, and the mixture without each owner by entitlement."""
    owners = list(release.owners)
    nothing = Choice(name="")
    models = [
        Variant(name=ANCHOR, members=[], integrator=nothing, router=nothing),
        # Alone, an expert runs beside the anchor under the router that it was trained with.
        Variant(
            name=OWN, members=owners, integrator=Choice(name="flexolmo"), router=config.training_router, alone=True
        ),
        whole(release, MIXTURE),
    ]
    for name, baseline in config.evaluation.baselines.items():
        models.append(Variant(name=name, members=owners, integrator=baseline, router=config.training_router))
    if len(owners) > 1:
        models += [_without(release, owner) for owner in owners]
    return models


def withdrawal_variants(release: Release, owner: str) -> list[Variant]:
    """The mixture that never had ``owner``, to hold the entitlement against."""
    kept = [member for member in release.owners if member != owner]
    return [Variant(name=NEVER_HAD, members=kept, integrator=release.integrator, router=release.router)]


def _without(release: Release, owner: str) -> Variant:
    kept = [member for member in release.owners if member != owner]
    return Variant(
        name=without(owner),
        members=list(release.owners),
        integrator=release.integrator,
        router=release.router,
        entitlement=kept,
    )
