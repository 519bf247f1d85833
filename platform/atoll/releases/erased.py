"""Members of a release whose packages were erased after it was made: it opens without them, and says why."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from atoll.errors import FederationError, MixtureError
from atoll.experts.erasure import ErasureStatement
from atoll.experts.files import atomic_stream, write_atomic
from atoll.federation.units import MemberRef
from atoll.releases.envelope import read_envelope
from atoll.releases.folder import expert_file, release_folder
from atoll.releases.release import Release

_ERASED = "erased"


def erase_member(parent: Path, number: int, owner: str, statement: ErasureStatement) -> None:
    """Delete a member's package from a release's folder, and leave the coordinator's statement in its place.

    The other members are what they were, and so is what was signed of the release.

    Args:
        parent: Of the releases' folders.
        number: Of the release.
        owner: Whose package.
        statement: That it is erased.
    """
    folder = release_folder(parent, number)
    if not folder.exists():
        return
    expert_file(folder, owner).unlink(missing_ok=True)
    for left in (folder / "experts").glob(f".{owner}.atoll.*.partial"):  # a crash while the release was written
        left.unlink(missing_ok=True)
    (folder / _ERASED).mkdir(exist_ok=True)
    write_atomic(folder / _ERASED / f"{owner}.json", statement.to_json().encode())


def without_erased(release: Release, folder: Path) -> Release:
    """The release without those members whose package is gone and was said to be erased.

    Raises:
        MixtureError: nobody is left.
    """
    for owner in erased_owners(release, folder):
        release = release.without(owner)
    if not release.members:
        raise MixtureError(f"{folder}: nobody is left in the release: all of its experts were withdrawn and erased")
    return release


def erased_owners(release: Release, folder: Path) -> list[str]:
    """Members whose package is gone and was said to be erased, by its digest, by who signed the release.

    A release without an envelope was signed by nobody; there anyone's statement will do, and takes away only.
    """
    envelope = read_envelope(folder)
    signer = "" if envelope is None else envelope.public_key
    return [member.owner for member in release.members if is_erased(member, folder, signer)]


def is_erased(member: MemberRef, folder: Path, signer: str) -> bool:
    """Whether a member's package is gone, and ``signer`` says that it was erased; empty for anyone."""
    path = folder / _ERASED / f"{member.owner}.json"
    if expert_file(folder, member.owner).exists() or not path.is_file():
        return False
    try:
        said = ErasureStatement.load(path)
    except FederationError:
        return False
    return said.expert == member.digest and signer in ("", said.public_key)


def restore_members(release: Release, packages: Mapping[str, Path], folder: Path) -> None:
    """Put packages back into a release's folder from which they were erased: their owners permit them anew.

    Raises:
        OSError: the disk refuses.
    """
    for member in release.members:
        if is_erased(member, folder, ""):
            with packages[member.owner].open("rb") as there, atomic_stream(expert_file(folder, member.owner)) as here:
                shutil.copyfileobj(there, here)
            (folder / _ERASED / f"{member.owner}.json").unlink()
