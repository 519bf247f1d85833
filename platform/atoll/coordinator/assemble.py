"""A release from package files alone, for whoever has no federation at hand."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

from atoll.anchors import Anchor
from atoll.anchors.digest import file_sha256
from atoll.errors import ConfigError, MixtureError, PackageError
from atoll.experts.package import ExpertPackage
from atoll.experts.signing import PublicKey
from atoll.federation.units import Choice, MemberRef
from atoll.releases.folder import write_folder
from atoll.releases.integration import integrate
from atoll.releases.members import check_consent, verify
from atoll.releases.release import Release, make_release


def assemble(
    files: Sequence[Path],
    anchor: Anchor,
    folder: Path,
    *,
    integrator: Choice,
    router: Choice,
    keys: Mapping[str, PublicKey],
) -> Release:
    """Verify packages, see that they go together, and write release 1 of them as ``folder``.

    Args:
        files: ``.atoll`` files.
        anchor: What they were trained against.
        folder: New or empty.
        integrator: How they become a mixture.
        router: Over what.
        keys: Who must have signed, by owner; an owner without a key is taken at its package's word.

    Raises:
        PackageError, MixtureError, ConfigError, PluginError: the message says what does not fit.
    """
    experts: dict[str, ExpertPackage] = {}
    packages: dict[str, Path] = {}
    for file in files:
        if not file.is_file():
            what = "is a folder: pack it with `atoll expert pack`" if file.is_dir() else "is not there; check the path"
            raise PackageError(f"{file}: {what}")
        expert = verify(file, None, None, anchor)
        owner = expert.card.owner
        if owner in experts:
            raise MixtureError(f"{packages[owner]} and {file} are both of '{owner}': a mixture has one expert an owner")
        if owner in keys and expert.public_key != keys[owner]:
            signer, trusted = expert.public_key.fingerprint, keys[owner].fingerprint
            raise PackageError(f"{file}: is signed by {signer}, not by {owner}'s key {trusted}; ask {owner}")
        experts[owner], packages[owner] = expert, file
    _known(keys, experts)
    check_consent(list(experts.values()), date.today())
    members = [_member(expert, packages) for expert in experts.values()]
    release = make_release(1, anchor, _kind(experts), integrator, router, members)
    # That they go together shows when they are put together.
    integrate(release, anchor, anchor.model(), [experts[owner] for owner in release.owners])
    write_folder(release, packages, folder)
    return release


def _known(keys: Mapping[str, PublicKey], experts: Mapping[str, ExpertPackage]) -> None:
    for owner in keys:
        if owner not in experts:
            raise ConfigError(f"there is a key for '{owner}', but no package: there are {', '.join(sorted(experts))}")


def _kind(experts: Mapping[str, ExpertPackage]) -> str:
    kinds = sorted({expert.card.kind for expert in experts.values()})
    if len(kinds) > 1:
        raise MixtureError(f"experts of one mixture need one kind; here are {', '.join(kinds)}")
    return "".join(kinds)


def _member(expert: ExpertPackage, packages: Mapping[str, Path]) -> MemberRef:
    owner = expert.card.owner
    blob = f"sha256:{file_sha256(packages[owner])}"
    return MemberRef(owner=owner, digest=expert.digest, blob=blob, public_key=expert.public_key.hex)
