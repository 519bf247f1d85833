"""Expert packages: the unit of exchange, as one ``.atoll`` file or as a folder; also by USB stick.

::

    NAME.atoll (zip, stored)        one fixed form: equal content gives equal bytes
    ├── card.yaml                   what is known of the expert
    ├── expert.safetensors          the weights; for `lora` adapter_model.safetensors and adapter_config.json,
    │                               so that the unpacked folder is a PEFT adapter
    ├── descriptor.safetensors      the owner's domain
    └── signature.json              Ed25519, over the content digest of all the others
"""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor

from atoll.errors import PackageError
from atoll.experts import archive, tensors
from atoll.experts.card import ExpertCard
from atoll.experts.files import read_bounded, sync_folder, too_large, write_atomic
from atoll.experts.signing import OwnerKey, PublicKey
from atoll.experts.verify import (
    CARD,
    DESCRIPTOR,
    SIGNATURE,
    ExpertPackage,
    content_digest,
    extra_files,
    sign,
    verify_members,
    weights_file,
)
from atoll.mixture.descriptor import Descriptor

LIMIT_BYTES = 2 * 1024**3
"""Largest package that is read unless the caller says otherwise; the form itself ends at 4 GiB."""


def read_package(
    source: Path | bytes,
    *,
    trusted: PublicKey | None,
    anchor: str | None = None,
    expected_shapes: Mapping[str, tuple[int, ...]] | None = None,
    limit_bytes: int = LIMIT_BYTES,
) -> ExpertPackage:
    """Read a package and verify all of it.

    Args:
        source: A package file, its bytes, or an unpacked folder.
        trusted: Who must have signed; ``None`` takes anyone's valid signature.
        anchor: Digest of the anchor that the expert must be for.
        expected_shapes: Names and shapes that the weights must have, see :meth:`ExpertKind.expected_shapes`.
        limit_bytes: Largest size; more is not even read.

    Raises:
        PackageError: refused; the message begins with the file and gives the reason. Nothing else is raised, whatever
            the bytes are.
    """
    with _named(source if isinstance(source, Path) else None):
        members = _members(source, limit_bytes)
        return verify_members(members, trusted=trusted, anchor=anchor, expected_shapes=expected_shapes)


def write_package(
    path: Path,
    *,
    card: ExpertCard,
    weights: Mapping[str, Tensor],
    descriptor: Descriptor,
    key: OwnerKey,
    extra: Mapping[str, bytes] | None = None,
) -> str:
    """Write a package; it is there whole or not at all.

    Args:
        path: The ``.atoll`` file; an older one is replaced.
        card: What is known of the expert.
        weights: Tensors by name, on any device.
        descriptor: The owner's domain, at the card's sites.
        key: Signs.
        extra: The kind's other files: ``adapter_config.json`` for ``lora``.

    Returns:
        The content digest, which does not depend on the key.

    Raises:
        PackageError: a package that :func:`read_package` would refuse, or a file that cannot be written.
    """
    with _named(path):
        members = {
            **(extra or {}),
            CARD: card.to_yaml(),
            DESCRIPTOR: descriptor.to_bytes(),
            weights_file(card.kind): tensors.save(weights),
        }
        return _write(path, members, key)


def pack_folder(folder: Path, path: Path, key: OwnerKey) -> str:
    """Sign and pack an unpacked folder; a signature that is there is replaced.

    Returns:
        The content digest.

    Raises:
        PackageError: something is missing, unknown or refused, or the file cannot be written.
    """
    with _named(folder):
        found = _folder_members(folder, LIMIT_BYTES)
        found.pop(SIGNATURE, None)
        if CARD not in found:
            raise PackageError(f"has no '{CARD}'; `atoll expert unpack` of any package shows what one looks like")
        card = ExpertCard.from_yaml(found[CARD])
        found[CARD] = card.to_yaml()  # as it would have been written by us, whatever the owner's layout and comments
        found[SIGNATURE] = sign(content_digest(found), key)
        package = verify_members(found, trusted=key.public, anchor=None, expected_shapes=None)
    return write_package(
        path, card=card, weights=package.weights, descriptor=package.descriptor, key=key, extra=package.extra
    )


def unpack(package_file: Path, folder: Path, *, trusted: PublicKey | None = None) -> ExpertPackage:
    """Verify a package and write it out as a folder, which is there whole or not at all.

    Args:
        package_file: The ``.atoll`` file.
        folder: Must be new or empty.
        trusted: Who must have signed; ``None`` takes anyone's valid signature.

    Raises:
        PackageError: the package is refused, or the folder holds something.
    """
    with _named(package_file):
        members = _members(package_file, LIMIT_BYTES)
        package = verify_members(members, trusted=trusted, anchor=None, expected_shapes=None)
    with _named(folder):
        if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
            raise PackageError("is there already and not an empty folder; name a new one")
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
        try:
            for name, data in members.items():
                write_atomic(partial / name, data)
            partial.chmod(0o755)
            os.replace(partial, folder)
            sync_folder(folder.parent)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return package


def _write(path: Path, members: dict[str, bytes], key: OwnerKey) -> str:
    digest = content_digest(members)
    members[SIGNATURE] = sign(digest, key)
    data = archive.encode(members)
    # What is written is what would be accepted: a refusal belongs on the owner's side.
    verify_members(_members(data, LIMIT_BYTES), trusted=key.public, anchor=None, expected_shapes=None)
    write_atomic(path, data)
    return digest


def _members(source: Path | bytes, limit: int) -> dict[str, bytes]:
    if isinstance(source, Path) and source.is_dir():
        return _folder_members(source, limit)
    data = read_bounded(source, limit) if isinstance(source, Path) else source
    if len(data) > limit:
        raise PackageError(too_large(len(data), limit))
    return archive.decode(data)


def _folder_members(folder: Path, limit: int) -> dict[str, bytes]:
    """The files of an unpacked folder; links are not followed."""
    members: dict[str, bytes] = {}
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            archive.check_name(entry.name)
            if not stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode):
                raise PackageError(f"'{entry.name}' is a link or a folder; a package has only plain files: remove it")
            if len(members) == archive.MEMBERS:
                raise PackageError(f"holds more than {archive.MEMBERS} files; a package has at most five")
            members[entry.name] = read_bounded(Path(entry.path), limit)
            limit -= len(members[entry.name])
    return members


@contextmanager
def _named(path: Path | None) -> Iterator[None]:
    """Begin every refusal inside with the file's name, and turn the system's errors into refusals."""
    label = "package" if path is None else str(path)
    try:
        yield
    except PackageError as error:
        raise PackageError(f"{label}: {error}") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise PackageError(f"{label}: cannot be read or written ({reason}); check the path and the disk") from error


__all__ = [
    "LIMIT_BYTES",
    "ExpertPackage",
    "extra_files",
    "pack_folder",
    "read_package",
    "unpack",
    "write_package",
]
