"""What owners measured of a release's privacy, in cards beside its packages.

::

    release-0003/
    ├── release.json
    ├── experts/OWNER.atoll      signed before there was this release
    └── cards/OWNER.yaml         the same card, with `audit`; no part of the release's digest
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from atoll.errors import MixtureError, PackageError
from atoll.experts.card import ExpertCard
from atoll.experts.files import write_atomic
from atoll.experts.package import verify_package
from atoll.experts.signing import PublicKey
from atoll.releases.folder import expert_file
from atoll.releases.opening import read_release
from atoll.releases.trust import Trust

_FOLDER = "cards"


def write_audits(folder: Path, audits: Mapping[str, Mapping[str, float]], trust: Trust | None = None) -> None:
    """Write the cards of a release's members with what their owners measured; one that is there is replaced.

    Args:
        folder: The release's.
        audits: Figures by name, by owner; an owner without any gets no card.
        trust: Whose releases these are; this user's, by default.

    Raises:
        MixtureError: there is no release, an owner is no member of it, or the disk refuses.
        PackageError: a package that does not verify, or a figure that no card can hold.
    """
    keys = {member.owner: member.public_key for member in read_release(folder, trust).members}
    for owner, figures in sorted(audits.items()):
        if owner not in keys:
            raise MixtureError(f"{folder}: '{owner}' measured the release and has no expert in it")
        if not figures:
            continue
        card = verify_package(expert_file(folder, owner), trusted=PublicKey.from_hex(keys[owner])).card
        try:
            (folder / _FOLDER).mkdir(exist_ok=True)
            write_atomic(folder / _FOLDER / f"{owner}.yaml", replace(card, audit=dict(figures)).to_yaml())
        except OSError as error:
            raise MixtureError(f"{folder}: cannot be written ({error.strerror}: {error.filename})") from error


def read_audits(folder: Path) -> dict[str, dict[str, float]]:
    """What owners measured of a release, by owner and name; nobody signed it.

    Raises:
        PackageError: a card that cannot be read.
    """
    found = {path.stem: _audit(path, path.stem) for path in sorted((folder / _FOLDER).glob("*.yaml"))}
    return {owner: figures for owner, figures in found.items() if figures}


def audit_beside(package: Path, owner: str) -> dict[str, float]:
    """What an owner measured of the release that a package lies in; nothing where it lies in none.

    Raises:
        PackageError: a card that cannot be read.
    """
    card = package.absolute().parent.parent / _FOLDER / f"{owner}.yaml"
    return _audit(card, owner) if card.is_file() else {}


def _audit(path: Path, owner: str) -> dict[str, float]:
    try:
        card = ExpertCard.from_yaml(path.read_bytes())
    except OSError as error:
        raise PackageError(f"{path}: cannot be read ({error.strerror})") from error
    except PackageError as error:
        raise PackageError(f"{path}: {error}; remove it, the release does not need it") from error
    if card.owner != owner:
        raise PackageError(f"{path}: is the card of '{card.owner}'; remove it, the release does not need it")
    return dict(card.audit)
