"""Where a release and its parts are on the disk, and how they are written.

::

    release-0003/
    ├── release.json            what it consists of; written last, so without it the folder is unfinished
    ├── shared.safetensors      what was fitted over all members, where anything was
    └── experts/OWNER.atoll     the packages, as their owners signed them
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from atoll.errors import FederationError, MixtureError, PackageError
from atoll.experts.checks import SLUG
from atoll.experts.files import atomic_stream, write_atomic
from atoll.mixture.shared import Shared
from atoll.releases.envelope import Issuer, read_envelope, write_envelope
from atoll.releases.release import Release
from atoll.releases.trust import own_issuer

_NAME = "release.json"
_SHARED = "shared.safetensors"
_PREFIX = "release-"


def release_folder(parent: Path, number: int) -> Path:
    """Where a release of this number is below ``parent``."""
    return parent / f"{_PREFIX}{number:04d}"


def numbered(release: Release, parent: Path) -> Release:
    """The release under the number that it has below ``parent`` already, or else under the next free one.

    Raises:
        MixtureError: a release there is damaged.
    """
    taken = sorted(int(path.parent.name.removeprefix(_PREFIX)) for path in parent.glob(f"{_PREFIX}[0-9]*/{_NAME}"))
    for number in taken:
        same = replace(release, number=number)
        if number >= release.number and read_description(release_folder(parent, number))[0].digest == same.digest:
            return same
    return replace(release, number=max([release.number, *(number + 1 for number in taken)]))


def write_release(
    release: Release,
    packages: Mapping[str, Path],
    parent: Path,
    shared: Shared | None = None,
    issuer: Issuer | None = None,
) -> Path:
    """Write and sign a release below ``parent``, in a folder ``release-0001`` and so on, which is returned.

    Args:
        release: The release.
        packages: Package file by owner.
        parent: Of the releases' folders.
        shared: The shared part, where there is one.
        issuer: Who signs; this user, where nobody is named.

    Raises:
        MixtureError: the number is taken by another release, or the disk refuses.
        ConfigError: the user's own key cannot be kept.
    """
    issuer = issuer or own_issuer()
    folder = release_folder(parent, release.number)
    write_folder(release, packages, folder, shared, replace(issuer, previous=identity_before(parent, release.number)))
    return folder


def write_folder(
    release: Release,
    packages: Mapping[str, Path],
    folder: Path,
    shared: Shared | None = None,
    issuer: Issuer | None = None,
) -> None:
    """Write a release with its packages as ``folder``; ``release.json`` comes last but for the envelope that signs it.

    A release that is there stays; it is signed where its description is the same and the signer has not signed it.

    Args:
        release: The release.
        packages: Package file by owner.
        folder: New or empty.
        shared: The shared part, where there is one.
        issuer: Who signs; this user, where nobody is named.

    Raises:
        MixtureError: another release or something else is there, or the disk refuses.
        ConfigError: the user's own key cannot be kept.
    """
    issuer = issuer or own_issuer()
    if (folder / _NAME).exists():
        there, raw = read_description(folder)
        if there.digest != release.digest:
            raise MixtureError(f"{folder} holds another release: releases are immutable, take another number or folder")
        envelope = read_envelope(folder)
        if there == release and (envelope is None or envelope.public_key != issuer.key.public.hex):
            write_envelope(folder, issuer.sign(release, raw))
        return
    try:
        _expect_empty(folder)
        (folder / "experts").mkdir(parents=True, exist_ok=True)
        for member in release.members:
            with packages[member.owner].open("rb") as source, atomic_stream(expert_file(folder, member.owner)) as copy:
                shutil.copyfileobj(source, copy)
        if shared is not None:
            write_atomic(folder / _SHARED, shared.to_bytes())
        raw = json.dumps(json.loads(release.to_json()), indent=2).encode() + b"\n"
        write_atomic(folder / _NAME, raw)
        write_envelope(folder, issuer.sign(release, raw))
    except OSError as error:
        raise MixtureError(f"{folder}: cannot be written ({error.strerror}: {error.filename})") from error


def _expect_empty(folder: Path) -> None:
    unfinished = ("experts", _SHARED)
    if folder.exists() and (not folder.is_dir() or any(entry.name not in unfinished for entry in folder.iterdir())):
        raise MixtureError(f"{folder} is there and is no release: name a new or an empty folder")


def identity_before(parent: Path, number: int) -> str:
    """Identity of the envelope with the next lower number; empty where there is none."""
    for folder in sorted(parent.glob(f"{_PREFIX}[0-9]*"), reverse=True):
        digits = folder.name.removeprefix(_PREFIX)
        if digits.isdecimal() and int(digits) < number and (envelope := read_envelope(folder)) is not None:
            return envelope.identity
    return ""


def expert_file(folder: Path, owner: str) -> Path:
    """Where a release keeps an owner's package."""
    return folder / "experts" / f"{owner}.atoll"


def read_description(folder: Path) -> tuple[Release, bytes]:
    """What ``release.json`` says, and its bytes; whether anybody vouches for it, :mod:`atoll.releases.opening` checks.

    Raises:
        MixtureError: there is none, or it is damaged.
    """
    path = folder / _NAME
    if not path.is_file():
        raise MixtureError(f"{folder} is no release: there is no {_NAME} in it; `atoll mixture build` makes one")
    try:
        raw = path.read_bytes()
        release = Release.from_json(raw.decode("utf-8"))
    except (FederationError, OSError, UnicodeDecodeError) as error:
        raise MixtureError(f"{path} cannot be read: {error}; copy the release's folder again") from error
    if odd := [owner for owner in release.owners if not SLUG.fullmatch(owner)]:
        raise MixtureError(f"{path}: '{odd[0][:80]}' cannot be an owner's name; copy the release's folder again")
    return release, raw


def read_shared(release: Release, folder: Path) -> Shared | None:
    """The shared part of a release; ``None`` where it has none.

    Raises:
        PackageError: the file is missing, is not the one that was released, or is damaged.
    """
    if not release.shared:
        return None
    path = folder / _SHARED
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PackageError(
            f"{path}: the release has a shared part, but it cannot be read ({error.strerror})"
        ) from error
    found = f"sha256:{hashlib.sha256(data).hexdigest()}"
    if found != release.shared:
        raise PackageError(f"{path}: is {found}, but the release was made with {release.shared}; copy the folder again")
    return Shared.from_bytes(data)
