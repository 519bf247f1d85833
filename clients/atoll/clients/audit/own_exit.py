"""An owner's own scorecard of its exit, from releases that it was given: nothing leaves its machine."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from atoll.clients.audit.exit import score_models
from atoll.clients.node import Node
from atoll.errors import MixtureError
from atoll.experts.integrator import EXACT
from atoll.privacy.scorecard import AFTER, BEFORE, NEVER_HAD, scorecard
from atoll.privacy.unlearning_config import UnlearningConfig
from atoll.releases.opening import OpenRelease, open_release
from atoll.releases.trust import Trust
from atoll.replay import Teacher

_BATCH = 8


@dataclass(frozen=True, slots=True)
class ExitReleases:
    """Folders of the releases that an owner compares.

    Attributes:
        before: The last one with its expert.
        after: The one without; ``None`` for the one before under an entitlement that leaves the owner out.
        never_had: One for which everything was made anew without the owner; ``None`` where ``before`` says that a
            withdrawal is exact: then it is integrated from the others' packages. Otherwise there is none.
    """

    before: Path
    after: Path | None = None
    never_had: Path | None = None


def own_exit(
    folder: Path, releases: ExitReleases, config: UnlearningConfig, trust: Trust
) -> tuple[str, dict[str, float]]:
    """The owner's name, and the scorecard's figures on its training documents and its test documents.

    Args:
        folder: The node's.
        releases: What is compared.
        config: How much is measured.
        trust: Which releases are opened.

    Raises:
        ConfigError: an impossible configuration.
        DataError: too little data for a scorecard.
        MixtureError: a release that cannot be opened, one without the owner before, or one with it after.
    """
    config.check()
    node = Node(folder.resolve())
    owner = node.config.owner
    before = _opened(node, releases.before, trust)
    if owner not in before.release.owners or len(before.release.owners) == 1:
        raise MixtureError(f"{releases.before}: has no expert of '{owner}' beside others; name the last one that has")
    models = _models(node, before, releases, trust)
    scores = score_models(node.workload, node.model().eval(), models, config, _BATCH, lambda done, total, note: None)
    return owner, scorecard(scores).figures()


def _models(node: Node, before: OpenRelease, releases: ExitReleases, trust: Trust) -> Iterator[tuple[str, Teacher]]:
    kept = [other for other in before.release.owners if other != node.config.owner]
    yield BEFORE, Teacher(before.mixture)
    if releases.after is None:
        yield AFTER, Teacher(before.mixture, kept)
    else:
        yield AFTER, Teacher(_without(node, releases.after, trust).mixture)
    if releases.never_had is not None:
        yield NEVER_HAD, Teacher(_without(node, releases.never_had, trust).mixture)
    elif before.release.guarantee == EXACT:
        yield NEVER_HAD, Teacher(before.mixture.restrict(kept))


def _without(node: Node, folder: Path, trust: Trust) -> OpenRelease:
    found = _opened(node, folder, trust)
    if node.config.owner in found.release.owners:
        raise MixtureError(f"{folder}: still has an expert of '{node.config.owner}'; name one without it")
    return found


def _opened(node: Node, folder: Path, trust: Trust) -> OpenRelease:
    return open_release(folder, trust, anchor=node.config.anchor, device=str(node.device))
