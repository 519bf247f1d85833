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
from atoll.experts.files import atomic_stream, write_atomic
from atoll.mixture.shared import Shared
from atoll.releases.release import Release

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
        if number >= release.number and read_release(release_folder(parent, number)).digest == same.digest:
            return same
    return replace(release, number=max([release.number, *(number + 1 for number in taken)]))


def write_release(release: Release, packages: Mapping[str, Path], parent: Path, shared: Shared | None = None) -> Path:
    """Write a release below ``parent``, in a folder ``release-0001`` and so on, which is returned.

    Args:
        release: The release.
        packages: Package file by owner.
        parent: Of the releases' folders.
        shared: The shared part, where there is one.

    Raises:
        MixtureError: the number is taken by another release, or the disk refuses.
    """
    folder = release_folder(parent, release.number)
    write_folder(release, packages, folder, shared)
    return folder


def write_folder(release: Release, packages: Mapping[str, Path], folder: Path, shared: Shared | None = None) -> None:
    """Write a release with its packages as ``folder``; ``release.json`` comes last, so without it one is unfinished.

    Raises:
        MixtureError: another release or something else is there, or the disk refuses.
    """
    if (folder / _NAME).exists():
        if read_release(folder).digest == release.digest:
            return
        raise MixtureError(f"{folder} holds another release: releases are immutable, take another number or folder")
    try:
        if folder.exists() and (
            not folder.is_dir() or any(entry.name not in ("experts", _SHARED) for entry in folder.iterdir())
        ):
            raise MixtureError(f"{folder} is there and is no release: name a new or an empty folder")
        (folder / "experts").mkdir(parents=True, exist_ok=True)
        for member in release.members:
            with packages[member.owner].open("rb") as there, atomic_stream(expert_file(folder, member.owner)) as here:
                shutil.copyfileobj(there, here)
        if shared is not None:
            write_atomic(folder / _SHARED, shared.to_bytes())
        write_atomic(folder / _NAME, json.dumps(json.loads(release.to_json()), indent=2).encode() + b"\n")
    except OSError as error:
        raise MixtureError(f"{folder}: cannot be written ({error.strerror}: {error.filename})") from error


def expert_file(folder: Path, owner: str) -> Path:
    """Where a release keeps an owner's package."""
    return folder / "experts" / f"{owner}.atoll"


def read_release(folder: Path) -> Release:
    """Read ``release.json``.

    Raises:
        MixtureError: there is none, or it is damaged.
    """
    path = folder / _NAME
    if not path.is_file():
        raise MixtureError(f"{folder} is no release: there is no {_NAME} in it; `atoll mixture build` makes one")
    try:
        return Release.from_json(path.read_text("utf-8"))
    except (FederationError, OSError, UnicodeDecodeError) as error:
        raise MixtureError(f"{path} cannot be read: {error}; copy the release's folder again") from error


def shared_digest(shared: Shared) -> str:
    """``sha256:…`` of a shared part's file."""
    return f"sha256:{hashlib.sha256(shared.to_bytes()).hexdigest()}"


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
