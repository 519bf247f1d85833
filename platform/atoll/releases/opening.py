"""The one way in which a release is opened: its envelope first, then its packages, then the model that answers."""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

from atoll.anchors import Anchor, resolve
from atoll.errors import AnchorError, MixtureError, PluginError
from atoll.experts.package import ExpertPackage
from atoll.mixture import Mixture
from atoll.plugins.origin import difference
from atoll.releases.envelope import ENVELOPE, digest_of, read_envelope
from atoll.releases.erased import erased_owners, without_erased
from atoll.releases.folder import read_description, read_shared
from atoll.releases.integration import integrate
from atoll.releases.members import check_consent, read_members
from atoll.releases.release import Release
from atoll.releases.trust import Trust

log = logging.getLogger("atoll.releases")


@dataclass(frozen=True, eq=False, slots=True)
class OpenRelease:
    """A release that is loaded: what answers.

    Attributes:
        release: What it consists of.
        anchor: The anchor, found and checked.
        experts: The verified packages, in the release's order.
        mixture: The model.
        made: Digest of the release as it was made, before anybody was left out.
        differences: What is said of plug-ins that are others here than those it was made with.
    """

    release: Release
    anchor: Anchor
    experts: Sequence[ExpertPackage]
    mixture: Mixture
    made: str = ""
    differences: tuple[str, ...] = ()


def read_release(folder: Path, trust: Trust | None = None, *, unsigned: bool = False) -> Release:
    """What a release consists of, once its envelope says that a trusted signer vouches for just that.

    Args:
        folder: What :func:`~atoll.releases.folder.write_release` wrote.
        trust: Which releases are opened; what this user trusts, by default.
        unsigned: Also one without an envelope, as all were before there were envelopes.

    Raises:
        MixtureError: it is not signed, by somebody else, for something else, too old or expired; the message says what
            can be done.
    """
    trust = trust or Trust()
    release, raw = read_description(folder)
    envelope = read_envelope(folder)
    if envelope is None:
        if unsigned or trust.unsigned:
            return release
        raise MixtureError(
            f"{folder}: is not signed (there is no {ENVELOPE} in it), so anybody may have made or changed it; get it "
            "from its coordinator anew, or open it all the same with `--unsigned`"
        )
    if (envelope.number, envelope.release, envelope.description) != (release.number, release.digest, digest_of(raw)):
        raise MixtureError(
            f"{folder}: release.json is not what was signed: it was changed afterwards; get the folder again from its "
            "coordinator"
        )
    trust.check(envelope, folder, datetime.now(UTC))
    trust.remember(envelope, folder)
    return release


def inspect_release(folder: Path, trust: Trust | None = None) -> tuple[Release, list[ExpertPackage]]:
    """A release and its verified packages, without the anchor: all checks but that of the tensors' shapes.

    Raises:
        MixtureError, PackageError: it cannot be opened; the message says why.
    """
    release = without_erased(read_release(folder, trust), folder)
    return release, read_members(release, folder, None)


def open_release(
    folder: Path,
    trust: Trust | None = None,
    *,
    anchor: str = "",
    device: str = "cpu",
    without: Collection[str] = (),
    unsigned: bool = False,
    other_plugins: bool = True,
) -> OpenRelease:
    """Load a release from its folder, without members whose experts were withdrawn and erased since.

    Args:
        folder: What :func:`~atoll.releases.folder.write_release` wrote.
        trust: Which releases are opened; what this user trusts, by default.
        anchor: Where the anchor is, if not where the release says.
        device: To load to.
        without: Owners whose experts are not even read.
        unsigned: Also one without an envelope, as all were before there were envelopes.
        other_plugins: Also where a plug-in has another version or other code here than when the release was made, which
            is then logged as a warning; what answers for others is opened without.

    Raises:
        MixtureError, PackageError, AnchorError, PluginError: it cannot be opened; the message says why.
    """
    release = read_release(folder, trust, unsigned=unsigned)
    differences = check_plugins(release, folder, others=other_plugins)
    made, gone = release.digest, erased_owners(release, folder)
    for owner in dict.fromkeys([*gone, *without]):
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
    return OpenRelease(release, found, experts, mixture, made, differences)


def check_plugins(release: Release, folder: Path, *, others: bool) -> tuple[str, ...]:
    """What is said of plug-ins that are others here than those the release was made with; logged as well.

    Args:
        release: From an earlier version it names none, and nothing can be said.
        folder: Its own.
        others: Whether another version or other code of the same package will do.

    Raises:
        PluginError: one is not here, is another package's, or is another where that will not do.
    """
    try:
        found = tuple(filter(None, map(difference, release.plugins)))
    except PluginError as error:
        raise PluginError(f"{folder}: {error}") from error
    if found and not others:
        raise PluginError(
            f"{folder}: {'; '.join(found)}: its answers may be others than those of the release that was signed; "
            "install what it was made with, or let it answer all the same with --other-plugins"
        )
    for one in found:
        log.warning("%s: %s; its answers may be others than when it was made", folder, one)
    return found


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
