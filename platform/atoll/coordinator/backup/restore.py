"""Going on from a backup, or from an older ledger: no withdrawal that is known is lost."""

import logging
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from atoll.coordinator.backup.archive import EVENTS, MANIFEST, BackupManifest, read_backup
from atoll.coordinator.server.folder import ServerFolder
from atoll.coordinator.server.history_guard import lost_heads, set_aside_stray
from atoll.coordinator.server.sole import sole_coordinator
from atoll.errors import AtollError, ConfigError, FederationError, LedgerError
from atoll.experts.signing import OwnerKey, PublicKey
from atoll.federation.blobs import BlobStore
from atoll.federation.sealed_blobs import ExpertKeys, unseal
from atoll.ledger import ConsentWithdrawn, Event, Fact, LedgerRestored, State, StatementHeard, UseRestricted
from atoll.ledger.fact import fact_from_json
from atoll.ledger.head_file import read_head
from atoll.releases.folder import expert_file, read_description

log = logging.getLogger(__name__)
_KEPT, _ANEW, _AS_IS, _CUT = "kept", "from the backup", "as it is", "up to its first event that cannot be"


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What came of a restoration.

    Attributes:
        ledger: Which ledger goes on: ``kept`` (it is newer than the backup), ``from the backup``, ``as it is``, or
            ``up to its first event that cannot be``.
        statements: Owners' statements and operators' limits that were carried over from the ledger before.
        set_aside: New names of releases' folders that this ledger does not know.
        awaited: Owners who must be heard before anything is released or answers.
        missing: Experts whose packages could not be put back; nodes are asked for them.
    """

    ledger: str
    statements: int
    set_aside: list[str]
    awaited: list[str]
    missing: int


def restore(folder: ServerFolder, file: Path | None, reason: str, by: str = "") -> Restored:
    """Restore a coordinator's folder from a backup, or go on from the ledger that is there although it is older.

    A ledger that is there and continues the backup's is newer, and stays. Any other is set aside, and what owners
    stated and operators limited in it is carried over. Until every owner was heard since, nothing is released or
    answers: a withdrawal may be among what was lost.

    Args:
        folder: The coordinator's; with a backup it may be new.
        file: The backup; ``None`` to go on from the ledger that is there.
        reason: For the ledger.
        by: The operator's name.

    Raises:
        LedgerError: a coordinator runs, or the ledger that is there cannot be gone on from.
        FederationError: the backup was changed, or is another coordinator's.
        ConfigError: the backup holds no keys, and there are none here.
    """
    if file is None:
        config = folder.read_config()
        with sole_coordinator(config.ledger or folder.root / "ledger.db"):
            return _as_it_is(folder, reason, by)
    folder.root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.root, prefix=".restore-") as made:
        unpacked = Path(made)
        manifest, events = read_backup(file, unpacked)
        _expect_own(folder, manifest, file)
        _put_files(folder, unpacked)
        config = folder.read_config()
        with sole_coordinator(config.ledger or folder.root / "ledger.db"):
            return _restore_ledger(folder, events, unpacked, reason, by)


def _as_it_is(folder: ServerFolder, reason: str, by: str) -> Restored:
    """Go on from the ledger that is there: up to its first event that cannot be, with what was stated after that."""
    there = _stored(folder)
    sound = _sound(there)
    if len(sound) == len(there):
        return _go_on(folder, reason, by, _AS_IS)
    log.warning("event %d cannot be; the ledger goes on from the one before", len(sound) + 1)
    _set_ledger_aside(folder)
    with folder.open_ledger(create=True, any_head=True) as ledger:
        ledger.append_events(sound)
    lost = [f"{there[-1].sequence}:{there[-1].digest}"]
    return _go_on(folder, reason, by, _CUT, carried=_carried(there[len(sound) :]), lost=lost)


def _expect_own(folder: ServerFolder, manifest: BackupManifest, file: Path) -> None:
    public = folder.root / "coordinator.pub"
    if public.exists() and PublicKey.load(public).hex != manifest.public_key:
        raise FederationError(f"{file}: is a backup of another coordinator than {folder.root}")
    if not manifest.keys and not folder.key.exists():
        raise ConfigError(
            f"{file}: holds no keys: put coordinator.key and tls/ into {folder.root} first, and try again"
        )
    if folder.key.exists() and OwnerKey.load(folder.key).public.hex != manifest.public_key:
        raise FederationError(f"{file}: is not signed by the key in {folder.key}")


def _put_files(folder: ServerFolder, unpacked: Path) -> None:
    """Put back what is missing; what is there stays."""
    for path in sorted(unpacked.rglob("*")):
        relative = path.relative_to(unpacked)
        if not path.is_file() or relative.parts[0] in (MANIFEST, EVENTS, "experts", "packages"):
            continue
        target = folder.root / relative
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            target.chmod(0o600 if relative.parts[0] in ("coordinator.key", "tls") else 0o644)
    folder.root.chmod(0o700)


def _restore_ledger(folder: ServerFolder, events: list[Event], unpacked: Path, reason: str, by: str) -> Restored:
    there = _stored(folder)
    heads = [event.head for event in there]
    if events and len(there) >= len(events) and heads[len(events) - 1] == events[-1].head and _sound(there) == there:
        log.info("the ledger that is there has %d events more than the backup, and is kept", len(there) - len(events))
        missing = _put_packages(folder, unpacked)
        with folder.open_ledger(any_head=True) as ledger:
            lost = list(lost_heads(folder, ledger, OwnerKey.load(folder.key).public))
        if lost:
            return _go_on(folder, reason, by, _KEPT, missing=missing)
        with folder.open_ledger(any_head=True) as ledger:
            ledger.renew_head()
            awaited = sorted(ledger.state().awaited)
        return Restored(ledger=_KEPT, statements=0, set_aside=[], awaited=awaited, missing=missing)
    carried = _carried(there)
    lost_head = [f"{there[-1].sequence}:{there[-1].digest}"] if there else []
    _set_ledger_aside(folder)
    with folder.open_ledger(create=True, any_head=True) as ledger:
        ledger.append_events(events)
    done = _go_on(folder, reason, by, _ANEW, carried=carried, lost=lost_head)
    missing = _put_packages(folder, unpacked)
    return Restored(**{**done.__dict__, "missing": missing})


def _go_on(
    folder: ServerFolder,
    reason: str,
    by: str,
    which: str,
    *,
    carried: list[Fact] | None = None,
    lost: list[str] | None = None,
    missing: int = 0,
) -> Restored:
    """Write the restoration into the ledger, and what is carried over right behind it."""
    key = OwnerKey.load(folder.key).public
    with folder.open_ledger(any_head=True) as ledger:
        ledger.verify()
        heads = {*(lost or []), *(f"{head.sequence}:{head.digest}" for head in lost_heads(folder, ledger, key))}
        noted = read_head(folder.ledger_head)
        if noted is not None and not ledger.holds(noted.sequence, noted.digest):
            heads.add(noted.head)
        aside = set_aside_stray(folder, ledger.state())
        earlier = {path.name for path in folder.releases.glob("set-aside-*")}
        fact = LedgerRestored(reason=reason, lost=sorted(heads), set_aside=sorted(earlier), by=by)
        ledger.record(fact)
        ledger.renew_head()
        count = 0
        for each in carried or []:
            try:
                count += ledger.record(each) is not None
            except LedgerError as error:
                log.warning("not carried over: %s", error)
        ledger.renew_head()
        awaited = sorted(ledger.state().awaited)
    return Restored(ledger=which, statements=count, set_aside=aside, awaited=awaited, missing=missing)


def _stored(folder: ServerFolder) -> list[Event]:
    """The events of the ledger that is there, as they are, unchecked; none where it cannot be read."""
    try:
        with folder.open_ledger(any_head=True) as ledger:
            return list(ledger.events())
    except (AtollError, SQLAlchemyError):
        return []


def _sound(events: list[Event]) -> list[Event]:
    """The events before the first one that cannot be."""
    state = State()
    for number, event in enumerate(events):
        try:
            state.follow(event)
        except LedgerError:
            return events[:number]
    return events


def _carried(events: list[Event]) -> list[Fact]:
    """What owners stated and operators limited, whatever else became of a ledger.

    Signatures are checked when it is written. Statements go with their signatures; an unsigned withdrawal of version 1
    goes on as an operator's limit.
    """
    found: list[Fact] = []
    for event in events:
        try:
            fact = fact_from_json(event.kind, event.body)
        except LedgerError:
            continue
        if isinstance(fact, StatementHeard | UseRestricted):
            found.append(fact)
        elif isinstance(fact, ConsentWithdrawn):
            reason = f"{fact.statement} (unsigned, from before version 2)"
            found.append(UseRestricted(owner=fact.owner, expert=fact.expert, purposes=[], until=None, reason=reason))
    return found


def _set_ledger_aside(folder: ServerFolder) -> None:
    """Rename an SQLite ledger's files; a database elsewhere must be empty, and its operator sees to that."""
    if folder.read_config().ledger:
        with folder.open_ledger(any_head=True) as ledger:
            if next(iter(ledger.events()), None) is not None:
                raise LedgerError(
                    "the database of the configuration holds another ledger: rename it, make an empty one, and restore "
                    "again; owners' nodes tell their statements anew"
                )
        return
    path = folder.root / "ledger.db"
    number = 1
    while any(folder.root.glob(f"ledger.db.set-aside-{number}*")):
        number += 1
    for suffix in ("", "-wal", "-shm"):
        each = path.with_name(path.name + suffix)
        if each.exists():
            each.rename(path.with_name(f"{path.name}.set-aside-{number}{suffix}"))


def _put_packages(folder: ServerFolder, unpacked: Path) -> int:
    """Put experts back that may still be used and whose keys are there; returns how many could not be."""
    packages, keys = BlobStore(folder.packages), ExpertKeys(folder.root / "expert-keys")
    for path in sorted((unpacked / "packages").glob("*")):
        packages.adopt(path)
    with folder.open_ledger(any_head=True) as ledger:
        state = ledger.state()
    missing = 0
    for digest, expert in state.experts.items():
        blob = expert.accepted.blob
        if not expert.consents.now.purposes or packages.there(blob):
            continue
        sealed, key = unpacked / "experts" / f"{blob.removeprefix('sha256:')}.sealed", keys.known(digest)
        if key is None or not sealed.exists():
            missing += 1
            continue
        unseal(sealed, unpacked / "plain", key, digest)
        packages.adopt(unpacked / "plain")
    _put_members(folder, packages)
    return missing


def _put_members(folder: ServerFolder, packages: BlobStore) -> None:
    """Complete releases with their members' packages."""
    for path in sorted(folder.releases.glob("release-*")):
        for member in read_description(path)[0].members:
            target = expert_file(path, member.owner)
            if not target.exists() and packages.there(member.blob):
                target.parent.mkdir(exist_ok=True)
                shutil.copyfile(packages.path(member.blob), target)


def describe(restored: Restored) -> str:
    """What came of it, for people."""
    lines = [f"ledger: {restored.ledger}"]
    if restored.statements:
        lines.append(f"carried over from the ledger before: {restored.statements} statements and limits")
    if restored.set_aside:
        lines.append(f"set aside, and kept: {', '.join(restored.set_aside)}")
    if restored.missing:
        lines.append(f"experts without a package here: {restored.missing}; their nodes are asked for them")
    if restored.awaited:
        lines.append(
            f"nothing is released or answers before these were heard: {', '.join(restored.awaited)}; for one without a "
            "node: atoll coordinator confirm FOLDER OWNER --reason TEXT"
        )
    return "\n".join(lines)
