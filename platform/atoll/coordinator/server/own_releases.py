"""The coordinator's own releases: signed with its key, checked against its ledger, and signed anew while they hold."""

import logging
from datetime import UTC, datetime, timedelta

from atoll.anchors.digest import file_sha256
from atoll.coordinator.server.folder import ServerConfig, ServerFolder
from atoll.errors import MixtureError
from atoll.experts.package import verify_package
from atoll.experts.signing import OwnerKey, Signer
from atoll.ledger import State
from atoll.releases.envelope import Issuer, read_envelope, renewed, write_envelope
from atoll.releases.erased import is_erased
from atoll.releases.folder import expert_file, read_description, release_folder
from atoll.releases.opening import read_release
from atoll.releases.release import Release
from atoll.releases.trust import Trust

log = logging.getLogger(__name__)


def own_trust(key: Signer) -> Trust:
    """Releases of this key, of any age: the coordinator's ledger says which is the latest."""
    return Trust(key=key.public, older=True, memory=None)


def issuer(config: ServerConfig, key: Signer, state: State) -> Issuer:
    """The coordinator as a signer of releases, at this point of its ledger."""
    return Issuer(key, days=config.release_days, head=f"{state.head.sequence}:{state.head.digest}")


def own_release(folder: ServerFolder, state: State, number: int) -> Release:
    """A release that the ledger names, as the coordinator signed it; one from before there were envelopes is signed.

    Raises:
        MixtureError: it was changed, or is not the one that the ledger names.
        ConfigError: the coordinator's key cannot be read.
    """
    path = release_folder(folder.releases, number)
    key = OwnerKey.load(folder.key)
    if read_envelope(path) is None:
        _sign_earlier(folder, state, number, key)
    release = read_release(path, own_trust(key))
    if release.digest != state.releases[number].released.digest:
        raise MixtureError(f"{path}: is {release.digest}, but the ledger has another release {number}; restore it")
    return release


def renew_latest(folder: ServerFolder, config: ServerConfig, key: Signer, state: State) -> bool:
    """Sign the latest release anew once half of its time has passed, while every member permits a use of its expert.

    Only the latest: an older one is left to expire, and so is one that holds what an owner took back.

    Returns:
        Whether it was signed anew.

    Raises:
        MixtureError: it was changed.
    """
    number = max(state.releases, default=0)
    if not number:
        return False
    path = release_folder(folder.releases, number)
    own_release(folder, state, number)
    envelope = read_envelope(path)
    now = datetime.now(UTC)
    members = [state.experts[digest] for digest in state.releases[number].released.members]
    if envelope is None or not envelope.expires or not all(m.consents.now.permits_something(now) for m in members):
        return False
    if datetime.fromisoformat(envelope.expires) - now > timedelta(days=config.release_days) / 2:
        return False
    renewed(path, issuer(config, key, state))
    log.info("release %d is signed anew", number)
    return True


def _sign_earlier(folder: ServerFolder, state: State, number: int, key: Signer) -> None:
    """Sign a release of before there were envelopes, where ledger and packages say the same of it as it does."""
    path = release_folder(folder.releases, number)
    release, raw = read_description(path)
    refusal = MixtureError(
        f"{path}: is not signed, and is not what the ledger says of release {number}: it was changed; restore it"
    )
    if release.digest != state.releases[number].released.digest:
        raise refusal
    for member in release.members:
        accepted = state.experts[member.digest].accepted
        if is_erased(member, path, key.public.hex):
            continue
        file = expert_file(path, member.owner)
        blob = f"sha256:{file_sha256(file)}" if file.is_file() else ""
        if not accepted.blob == member.blob == blob or accepted.owner != member.owner:
            raise refusal
        if verify_package(file, trusted=None).public_key.hex != member.public_key:
            raise refusal
    config = folder.read_config()
    write_envelope(path, issuer(config, key, state).sign(release, raw))
    log.info("release %d of an earlier version is signed", number)
