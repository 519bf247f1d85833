"""The file of a backup: a tar of the ledger's events and the folder's files, under a manifest that is signed.

Experts are in it only sealed, each under a key of its own that no backup holds (``expert-keys/``): after an erasure,
what backups hold of an expert is noise. The ledger is in it as events, one a line, whatever database it is in.
"""

import hashlib
import json
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from atoll.coordinator.erasure.inventory import BACKUP, record_copy
from atoll.coordinator.server.folder import ServerFolder
from atoll.errors import ConfigError, FederationError, LedgerError
from atoll.experts.documents import SignedDocument
from atoll.experts.signing import Signer
from atoll.federation.blobs import BlobStore
from atoll.federation.sealed_blobs import ExpertKeys, seal
from atoll.ledger import Event, Ledger, State

MANIFEST, EVENTS = "manifest.json", "ledger.jsonl"
SECRET = ("coordinator.key", "tls")
"""What is in a backup only where it is asked for."""
_PUBLIC = ("coordinator.yaml", "coordinator.pub", "invitation.json", "instances.json", "releases", "units", "results")


@dataclass(frozen=True, kw_only=True)
class BackupManifest(SignedDocument):
    """What a backup holds, signed by its coordinator.

    Attributes:
        made: ISO 8601, UTC.
        head: Where the ledger stood, ``number:digest``.
        files: SHA-256 by name, of all other files.
        keys: Whether the coordinator's own keys are among them.
    """

    made: str
    head: str
    files: dict[str, str]
    keys: bool


def write_backup(folder: ServerFolder, out: Path, key: Signer, *, keys: bool = False) -> BackupManifest:
    """Write a backup; the coordinator may run meanwhile.

    Args:
        folder: The coordinator's.
        out: The file; it is there whole or not at all.
        key: The coordinator's, which signs.
        keys: Also the coordinator's signing key and TLS authority: keep such a backup as they are kept.

    Returns:
        What is in it.

    Raises:
        LedgerError: the ledger was changed, or is older than it was.
        ConfigError: the file is there, or cannot be written.
    """
    if out.exists():
        raise ConfigError(f"{out}: is there already; a backup takes the place of nothing")
    try:
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".backup-") as made, folder.open_ledger() as ledger:
            work = Path(made)
            head = _write_events(ledger, work / EVENTS)
            files = {EVENTS: work / EVENTS, **dict(_files(folder, ledger.state(), work, keys=keys))}
            manifest = BackupManifest(
                public_key=key.public.hex,
                made=datetime.now(UTC).isoformat(timespec="seconds"),
                head=head,
                files={name: file_digest(path) for name, path in sorted(files.items())},
                keys=keys,
            ).signed(key)
            manifest.save(work / MANIFEST)
            whole = work / "backup.tar"
            whole.touch(mode=0o600)
            with tarfile.open(whole, "w") as tar:
                for name, path in [(MANIFEST, work / MANIFEST), *sorted(files.items())]:
                    tar.add(path, name, recursive=False)
            whole.rename(out)
            sealed = {Path(name).stem for name in manifest.files if name.endswith(".sealed")}
            experts = ledger.state().experts.items()
            held = [digest for digest, each in experts if each.accepted.blob.removeprefix("sha256:") in sealed]
            record_copy(ledger, what=BACKUP, where=out, experts=held)
    except OSError as error:
        raise ConfigError(f"{out}: the backup cannot be written ({error.strerror}: {error.filename})") from error
    return manifest


def read_backup(file: Path, into: Path) -> tuple[BackupManifest, list[Event]]:
    """Unpack a backup into an empty folder, and check all of it.

    Args:
        file: What :func:`write_backup` wrote.
        into: The folder.

    Returns:
        Its manifest, and the ledger's events.

    Raises:
        FederationError: it is no backup, or was changed.
        LedgerError: its ledger was changed.
    """
    try:
        with tarfile.open(file) as tar:
            tar.extractall(into, filter="data")
    except (tarfile.TarError, OSError) as error:
        raise FederationError(f"{file}: is no backup that can be read: {error}") from error
    manifest = BackupManifest.load(into / MANIFEST)
    there = {str(path.relative_to(into)): path for path in into.rglob("*") if path.is_file() and path.name != MANIFEST}
    if {name: file_digest(path) for name, path in there.items()} != manifest.files:
        raise FederationError(f"{file}: holds other files than its coordinator signed; take another backup")
    events = [Event(**json.loads(line)) for line in (into / EVENTS).read_text("utf-8").splitlines()]
    state = State()
    for event in events:
        state.follow(event)
    if f"{state.head.sequence}:{state.head.digest}" != manifest.head:
        raise LedgerError(f"{file}: its ledger ends elsewhere than its coordinator signed; take another backup")
    return manifest, events


def file_digest(path: Path) -> str:
    """SHA-256 of a file, hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _write_events(ledger: Ledger, path: Path) -> str:
    """The events as they were at one moment, verified; returns the head."""
    state = State()
    with path.open("w", encoding="utf-8") as handle:
        for event in ledger.events():
            state.follow(event)
            handle.write(json.dumps(asdict(event), ensure_ascii=False) + "\n")
    return f"{state.head.sequence}:{state.head.digest}"


def _files(folder: ServerFolder, state: State, work: Path, *, keys: bool) -> Iterator[tuple[str, Path]]:
    """All files of a folder that a backup holds; experts sealed."""
    for name in (*_PUBLIC, *(SECRET if keys else ())):
        path = folder.root / name
        for each in [path] if path.is_file() else sorted(path.rglob("*")):
            relative = each.relative_to(folder.root)
            hidden = any(part.startswith(".") for part in relative.parts)
            if each.is_file() and not hidden and each.suffix != ".atoll":
                yield str(relative), each
    yield from _sealed(folder, state, work)


def _sealed(folder: ServerFolder, state: State, work: Path) -> Iterator[tuple[str, Path]]:
    keys, packages = ExpertKeys(folder.root / "expert-keys"), BlobStore(folder.packages)
    experts = {expert.accepted.blob: digest for digest, expert in state.experts.items()}
    for blob in packages.digests():
        digest = experts.get(blob)
        if digest is None:  # of no owner: a router that was fitted
            yield f"packages/{blob.removeprefix('sha256:')}", packages.path(blob)
        elif state.experts[digest].consents.now.purposes:
            target = work / f"{blob.removeprefix('sha256:')}.sealed"
            seal(packages.path(blob), target, keys.key_of(digest), digest)
            yield f"experts/{target.name}", target
