"""The packages of a release: read with every check there is."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path

from atoll.anchors import Anchor
from atoll.errors import MixtureError, PackageError
from atoll.experts.card import ExpertCard
from atoll.experts.package import ExpertPackage, PackageFacts, read_package, verify_package
from atoll.experts.signing import PublicKey
from atoll.mixture import ExpertKind
from atoll.plugins import load
from atoll.releases.folder import expert_file
from atoll.releases.release import Release


def read_members(release: Release, folder: Path, anchor: Anchor | None) -> list[ExpertPackage]:
    """Verify and read the packages of a release; all but the tensors' shapes where there is no anchor to ask.

    Raises:
        PackageError: a package that is missing, refused, or not the one that was released.
    """
    experts = []
    for member in release.members:
        path = expert_file(folder, member.owner)
        if not path.is_file():
            raise PackageError(f"{path}: the release names this expert, but the file is not there")
        key = PublicKey.from_hex(member.public_key)
        if anchor is None:
            package = read_package(path, trusted=key, anchor=release.anchor)
        else:
            package = verify(path, member.owner, key, anchor)
        if package.digest != member.digest:
            raise PackageError(f"{path}: holds {package.digest}, but the release was made with {member.digest}")
        experts.append(package)
    return experts


def verify(source: Path | bytes, owner: str | None, key: PublicKey | None, anchor: Anchor) -> ExpertPackage:
    """Read a package with every check there is.

    Args:
        source: The package.
        owner: Whose it must be; ``None`` for whoever the card says.
        key: Who must have signed; ``None`` takes anyone's valid signature.
        anchor: What it must fit.

    Raises:
        PackageError: refused, with the reason.
    """
    return read_package(source, trusted=key, anchor=anchor.digest, expected_shapes=_fitting(owner, anchor))


def verify_facts(source: Path | bytes, owner: str | None, key: PublicKey | None, anchor: Anchor) -> PackageFacts:
    """Every check of :func:`verify`, for when the weights are not needed: of any size, in little memory.

    Args:
        source: The package.
        owner: Whose it must be; ``None`` for whoever the card says.
        key: Who must have signed; ``None`` takes anyone's valid signature.
        anchor: What it must fit.

    Raises:
        PackageError: refused, with the reason.
    """
    return verify_package(source, trusted=key, anchor=anchor.digest, expected_shapes=_fitting(owner, anchor))


def _fitting(owner: str | None, anchor: Anchor) -> Callable[[ExpertCard], Mapping[str, tuple[int, ...]]]:
    """What checks a card against owner and anchor, and tells the shapes that the weights must then have."""

    def shapes(card: ExpertCard) -> Mapping[str, tuple[int, ...]]:
        if owner is not None and card.owner != owner:
            raise PackageError(f"is '{card.owner}'s, but came from '{owner}'")
        kind: ExpertKind = load("atoll.experts", card.kind)()
        expected = kind.expected_shapes(anchor.shapes, card.targets, card.settings)
        if card.sites != tuple(site.path for site in kind.sites(card.targets)):
            raise PackageError("the card's sites are not those of its targets")
        return expected

    return shapes


def check_consent(experts: Sequence[ExpertPackage], today: date) -> None:
    """Refuse experts whose owners' consent has ended.

    Raises:
        MixtureError: names the owner and the day.
    """
    for expert in experts:
        until = expert.card.consent.until
        if until is not None and today > date.fromisoformat(until):
            owner = expert.card.owner
            raise MixtureError(f"the consent of '{owner}' ended on {until}: leave its expert out (--without {owner})")
