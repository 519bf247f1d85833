"""What an owner that leaves is asked to compare: the release before, the one after, and one that never had it."""

from atoll.federation.exit_unit import ExitUnit, ReleaseModel
from atoll.privacy.scorecard import AFTER, BEFORE, NEVER_HAD
from atoll.privacy.unlearning_config import UnlearningConfig
from atoll.releases.release import Release


def withdrawal_exit(release: Release, owner: str, config: UnlearningConfig, batch: int) -> ExitUnit:
    """Of an owner that withdraws from a release that stays: it answers under an entitlement that leaves the owner out.

    The mixture that never had the owner is integrated from the others' packages alone. Nothing was trained in either,
    so that it is what retraining without the owner's data would give.

    Args:
        release: With the owner's expert.
        owner: Who leaves.
        config: What is measured.
        batch: Documents in one forward pass.
    """
    kept = [other for other in release.owners if other != owner]
    after, never = model_of(release, entitlement=kept), model_of(release.without(owner))
    models = {BEFORE: model_of(release), AFTER: after, NEVER_HAD: never}
    return ExitUnit(anchor=release.anchor, models=models, scorecard=config, batch=batch)


def release_exit(
    before: Release, after: Release, never: Release | None, config: UnlearningConfig, batch: int
) -> ExitUnit:
    """Of an owner that a further release leaves out.

    Args:
        before: The last release with its expert.
        after: The one without.
        never: One for which everything was trained anew without the owner; ``None`` where there is none. Then what
            needs it stays a dash.
        config: What is measured.
        batch: Documents in one forward pass.
    """
    models = {BEFORE: model_of(before), AFTER: model_of(after)}
    if never is not None:
        models[NEVER_HAD] = model_of(never)
    return ExitUnit(anchor=before.anchor, models=models, scorecard=config, batch=batch)


def model_of(release: Release, entitlement: list[str] | None = None) -> ReleaseModel:
    """A release as a model to be compared."""
    return ReleaseModel(
        members=release.members,
        integrator=release.integrator,
        router=release.router,
        shared=release.shared,
        entitlement=entitlement,
    )
