"""The one way in which a release becomes a model that answers."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from atoll.anchors import Anchor, resolve
from atoll.errors import AnchorError, MixtureError
from atoll.experts.package import ExpertPackage
from atoll.mixture import Mixture
from atoll.releases.folder import read_release, read_shared
from atoll.releases.integration import integrate
from atoll.releases.members import check_consent, read_members
from atoll.releases.release import Release


@dataclass(frozen=True, eq=False, slots=True)
class OpenRelease:
    """A release that is loaded: what answers.

    Attributes:
        release: What it consists of.
        anchor: The anchor, found and checked.
        experts: The verified packages, in the release's order.
        mixture: The model.
    """

    release: Release
    anchor: Anchor
    experts: Sequence[ExpertPackage]
    mixture: Mixture


def open_release(folder: Path, *, anchor: str = "", device: str = "cpu", without: Collection[str] = ()) -> OpenRelease:
    """Load a release from its folder.

    Args:
        folder: What :func:`write_release` wrote.
        anchor: Where the anchor is, if not where the release says.
        device: To load to.
        without: Owners whose experts are not even read.

    Raises:
        MixtureError, PackageError, AnchorError: it cannot be opened; the message says why.
    """
    release = read_release(folder)
    for owner in dict.fromkeys(without):
        release = release.without(owner)
    if not release.members:
        raise MixtureError(f"{folder}: nobody is left in the release")
    found = _find_anchor(release, anchor)
    experts = read_members(release, folder, found)
    check_consent(experts, date.today())
    mixture = integrate(release, found, found.model(device=device), experts)
    shared = read_shared(release, folder)
    if shared is not None:
        mixture = mixture.with_rows(shared.rows)
    # The mixture's own tensors, so that every expert is in memory once.
    weights = {member.owner: member.weights for member in mixture.members}
    experts = [replace(expert, weights=weights[expert.card.owner]) for expert in experts]
    return OpenRelease(release, found, experts, mixture)


def _find_anchor(release: Release, spec: str) -> Anchor:
    try:
        found = resolve(spec or release.anchor_name)
    except AnchorError as error:
        hint = "" if spec else "; the release was made with it: say where it is now with --anchor"
        raise AnchorError(f"{error}{hint}") from error
    if found.digest != release.anchor:
        raise AnchorError(
            f"the release was made with anchor {release.anchor}, but '{spec or release.anchor_name}' is "
            f"{found.digest}: give the folder of the right one with --anchor"
        )
    return found
