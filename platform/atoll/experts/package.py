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
from contextlib import ExitStack, contextmanager
from pathlib import Path

from torch import Tensor

from atoll.errors import PackageError
from atoll.experts import archive, tensors
from atoll.experts.archive import Member, Sums
from atoll.experts.card import ExpertCard
from atoll.experts.files import Content, Pieces, atomic_stream, opened, sync_folder, too_large
from atoll.experts.signing import PublicKey, Signer
from atoll.experts.verify import (
    CARD,
    CONTEXT,
    DESCRIPTOR,
    LIMITS,
    PRIOR,
    SIGNATURE,
    ExpectedShapes,
    ExpertPackage,
    PackageFacts,
    digest_of,
    extra_files,
    load_members,
    sign,
    verify_members,
    weights_file,
)
from atoll.mixture.descriptor import Descriptor
from atoll.replay.prior import Prior

LIMIT_BYTES = 2 * 1024**3
"""Largest package that is read unless the caller says otherwise; the form itself ends at 4 GiB."""


def read_package(
    source: Path | bytes,
    *,
    trusted: PublicKey | None,
    anchor: str | None = None,
    expected_shapes: ExpectedShapes | None = None,
    limit_bytes: int = LIMIT_BYTES,
) -> ExpertPackage:
    """Read a package and verify all of it.

    The weights are read into memory only when everything else is verified, and are what was signed whatever becomes of
    the file meanwhile.

    Args:
        source: A package file, its bytes, or an unpacked folder.
        trusted: Who must have signed; ``None`` takes anyone's valid signature.
        anchor: Digest of the anchor that the expert must be for.
        expected_shapes: Names and shapes that the weights must have, see :meth:`ExpertKind.expected_shapes`; or a
            function that tells them from the card, and may refuse the card with a PackageError.
        limit_bytes: Largest size; more is not even read.

    Raises:
        PackageError: refused; the message begins with the file and gives the reason. Nothing else is raised, whatever
            the bytes are.
    """
    with _named(source if isinstance(source, Path) else None), _members(source, limit_bytes) as members:
        return load_members(members, trusted=trusted, anchor=anchor, expected_shapes=expected_shapes)


def verify_package(
    source: Path | bytes,
    *,
    trusted: PublicKey | None,
    anchor: str | None = None,
    expected_shapes: ExpectedShapes | None = None,
    limit_bytes: int = LIMIT_BYTES,
) -> PackageFacts:
    """Verify all of a package and hand out everything but its weights, in little memory however large they are.

    Args:
        source: A package file, its bytes, or an unpacked folder.
        trusted: Who must have signed; ``None`` takes anyone's valid signature.
        anchor: Digest of the anchor that the expert must be for.
        expected_shapes: As for :func:`read_package`.
        limit_bytes: Largest size; more is not even read.

    Raises:
        PackageError: refused, with the reason, just when :func:`read_package` would refuse it.
    """
    with _named(source if isinstance(source, Path) else None), _members(source, limit_bytes) as members:
        return verify_members(members, trusted=trusted, anchor=anchor, expected_shapes=expected_shapes)


def write_package(
    path: Path,
    *,
    card: ExpertCard,
    weights: Mapping[str, Tensor],
    descriptor: Descriptor,
    key: Signer,
    extra: Mapping[str, bytes] | None = None,
    prior: Prior | None = None,
    context: bytes | None = None,
) -> str:
    """Write a package; it is there whole or not at all.

    Args:
        path: The ``.atoll`` file; an older one is replaced.
        card: What is known of the expert.
        weights: Tensors by name, on any device.
        descriptor: The owner's domain, at the card's sites.
        key: Signs.
        extra: The kind's other files: ``adapter_config.json`` for ``lora``.
        prior: What replay may know of the owner's data; its lines are then the card's ``replay``.
        context: What is public of its domain and replay needs.

    Returns:
        The content digest, which does not depend on the key.

    Raises:
        PackageError: a package that :func:`read_package` would refuse, or a file that cannot be written.
    """
    with _named(path):
        weights_name = weights_file(card.kind)
        told = _told(extra or {}, prior, context)
        return _write(path, card, (weights_name, tensors.serialized(weights)), descriptor, key, told)


def pack_folder(folder: Path, path: Path, key: Signer) -> str:
    """Sign and pack an unpacked folder; a signature that is there is replaced.

    Returns:
        The content digest.

    Raises:
        PackageError: something is missing, unknown or refused, or the file cannot be written.
    """
    with ExitStack() as stack:
        with _named(folder):
            found = stack.enter_context(_folder_members(folder, LIMIT_BYTES))
            found.pop(SIGNATURE, None)
            if CARD not in found:
                raise PackageError(f"has no '{CARD}'; `atoll expert unpack` of any package shows what one looks like")
            card = ExpertCard.from_yaml(found[CARD].read())
            # As it would have been written by us, whatever the owner's layout and comments.
            found[CARD] = _in_memory(card.to_yaml())
            digest = digest_of({name: member.sums for name, member in found.items()})
            found[SIGNATURE] = _in_memory(sign(digest, key))
            facts = verify_members(found, trusted=key.public, anchor=None, expected_shapes=None)
            weights_name = weights_file(card.kind)
            weights = tensors.rewritten(found[weights_name].content, facts.tensors)
            told = _told(facts.extra, facts.prior, facts.context)
        with _named(path):
            return _write(path, card, (weights_name, weights), facts.descriptor, key, told)


def unpack(package_file: Path, folder: Path, *, trusted: PublicKey | None = None) -> PackageFacts:
    """Verify a package and write it out as a folder, which is there whole or not at all.

    Args:
        package_file: The ``.atoll`` file.
        folder: Must be new or empty.
        trusted: Who must have signed; ``None`` takes anyone's valid signature.

    Raises:
        PackageError: the package is refused, or the folder holds something.
    """
    with ExitStack() as stack:
        with _named(package_file):
            members = stack.enter_context(_members(package_file, LIMIT_BYTES))
            facts = verify_members(members, trusted=trusted, anchor=None, expected_shapes=None)
        with _named(folder):
            _unpack(members, folder)
    return facts


def _unpack(members: Mapping[str, Member], folder: Path) -> None:
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise PackageError("is there already and not an empty folder; name a new one")
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
    try:
        for name, member in members.items():
            with atomic_stream(partial / name) as stream:
                member.write(stream)
        partial.chmod(0o755)
        os.replace(partial, folder)
        sync_folder(folder.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write(
    path: Path,
    card: ExpertCard,
    weights: tuple[str, Pieces],
    descriptor: Descriptor,
    key: Signer,
    told: Mapping[str, bytes],
) -> str:
    small = {**told, CARD: card.to_yaml(), DESCRIPTOR: descriptor.to_bytes()}
    members: dict[str, Pieces] = {name: Content.of(data) for name, data in small.items()}
    members[weights[0]] = weights[1]
    size = archive.file_size({name: member.size for name, member in members.items()})
    if size > LIMIT_BYTES:
        raise PackageError(too_large(size, LIMIT_BYTES))
    sums = {name: Sums.of(member) for name, member in members.items()}
    digest = digest_of(sums)
    signature = _in_memory(sign(digest, key))
    members[SIGNATURE], sums[SIGNATURE] = signature.content, signature.sums
    with atomic_stream(path) as stream:
        archive.write(stream, members, sums)
        # What is written is what would be accepted: a refusal belongs on the owner's side.
        written = archive.read(Content(stream, 0, stream.tell()), LIMITS)
        verify_members(written, trusted=key.public, anchor=None, expected_shapes=None)
    return digest


def _told(extra: Mapping[str, bytes], prior: Prior | None, context: bytes | None) -> dict[str, bytes]:
    """The members besides card, descriptor and weights."""
    told = dict(extra)
    if prior is not None:
        told[PRIOR] = prior.to_bytes()
    if context is not None:
        told[CONTEXT] = context
    return told


def _in_memory(data: bytes) -> Member:
    content = Content.of(data)
    return Member(content, Sums.of(content))


@contextmanager
def _members(source: Path | bytes, limit: int) -> Iterator[dict[str, Member]]:
    """The members, which can be read inside the ``with`` block."""
    if not isinstance(source, Path):
        if len(source) > limit:
            raise PackageError(too_large(len(source), limit))
        yield archive.read(Content.of(source), LIMITS)
    elif source.is_dir():
        with _folder_members(source, limit) as members:
            yield members
    else:
        with opened(source, limit) as content:
            yield archive.read(content, LIMITS)


@contextmanager
def _folder_members(folder: Path, limit: int) -> Iterator[dict[str, Member]]:
    """The files of an unpacked folder, which can be read inside the ``with`` block; links are not followed."""
    members: dict[str, Member] = {}
    with ExitStack() as stack:
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                archive.check_name(entry.name)
                if not stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode):
                    raise PackageError(
                        f"'{entry.name}' is a link or a folder; a package has only plain files: remove it"
                    )
                if len(members) == archive.MEMBERS:
                    raise PackageError(f"holds more than {archive.MEMBERS} files; a package has at most seven")
                content = stack.enter_context(opened(Path(entry.path), limit))
                archive.check_size(entry.name, content.size, LIMITS)
                members[entry.name] = Member(content, Sums.of(content))
                limit -= content.size
        yield members


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
    "ExpectedShapes",
    "ExpertPackage",
    "PackageFacts",
    "extra_files",
    "pack_folder",
    "read_package",
    "unpack",
    "verify_package",
    "write_package",
]
