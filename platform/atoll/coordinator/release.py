"""A release: a numbered, immutable mixture with the experts that went into it, as a folder on its own."""

import hashlib
import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import nn

from atoll.anchors import Anchor, resolve
from atoll.anchors.public import public_descriptor
from atoll.errors import AnchorError, MixtureError, PackageError
from atoll.experts.integrator import EXACT, Integrator
from atoll.experts.package import ExpertPackage, read_package
from atoll.experts.signing import PublicKey
from atoll.federation.units import Choice, MemberRef, Unit
from atoll.mixture import Mixture
from atoll.plugins import build, load


@dataclass(frozen=True, kw_only=True)
class Release(Unit):
    """What a release consists of.

    Attributes:
        number: Counts up from 1.
        anchor: Digest of the anchor.
        anchor_name: Where the anchor is to be had: a name, or the path it had.
        kind: Of the experts.
        integrator: What made it.
        router: Over what.
        members: The experts, by owner's name.
        guarantee: What withdrawal leaves: ``exact``, or ``co-adapted: …`` with what was fitted and when.
    """

    number: int
    anchor: str
    anchor_name: str
    kind: str
    integrator: Choice
    router: Choice
    members: list[MemberRef]
    guarantee: str = EXACT

    @property
    def digest(self) -> str:
        """Digest of all that decides what the mixture computes: not of signatures, keys, names of places or numbers."""
        content = {
            "anchor": self.anchor,
            "kind": self.kind,
            "integrator": asdict(self.integrator),
            "router": asdict(self.router),
            "members": sorted([member.owner, member.digest] for member in self.members),
            "guarantee": self.guarantee,
        }
        raw = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return f"sha256:{hashlib.sha256(b'atoll release 1' + raw.encode()).hexdigest()}"

    def without(self, owner: str) -> "Release":
        """The next release, after a withdrawal.

        Raises:
            MixtureError: the owner is no member.
        """
        kept = [member for member in self.members if member.owner != owner]
        if len(kept) == len(self.members):
            raise MixtureError(f"'{owner}' has no expert in release {self.number}: it has {', '.join(self.owners)}")
        return Release(**{**self.__dict__, "number": self.number + 1, "members": kept})

    @property
    def owners(self) -> tuple[str, ...]:
        """Names of the members."""
        return tuple(member.owner for member in self.members)


def make_release(
    number: int, anchor: Anchor, kind: str, integrator: Choice, router: Choice, members: Sequence[MemberRef]
) -> Release:
    """Describe a mixture of these experts.

    Raises:
        MixtureError: there is no expert.
        PluginError: no such integrator or router.
        ConfigError: options that they do not have.
    """
    if not members:
        raise MixtureError("no expert has arrived, so there is nothing to release")
    made: Integrator = build("atoll.integrators", integrator.name, integrator.options)
    build("atoll.routers", router.name, router.options)
    return Release(
        number=number,
        anchor=anchor.digest,
        anchor_name=anchor.name,
        kind=kind,
        integrator=integrator,
        router=router,
        members=sorted(members, key=lambda member: member.owner),
        guarantee=made.guarantee,
    )


def write_release(release: Release, packages: Mapping[str, Path], folder: Path) -> Path:
    """Write a release with its packages; ``release.json`` comes last, so a folder without it is unfinished.

    Args:
        release: The release.
        packages: Package file by owner.
        folder: Parent of the release's folder.

    Returns:
        The folder, ``release-0001`` and so on.

    Raises:
        MixtureError: the number is taken by another release.
    """
    target = folder / f"release-{release.number:04d}"
    if (target / "release.json").exists():
        if read_release(target).digest == release.digest:
            return target
        raise MixtureError(f"{target} holds another release: releases are immutable, take the next number")
    (target / "experts").mkdir(parents=True, exist_ok=True)
    for member in release.members:
        _write(target / "experts" / f"{member.owner}.atoll", packages[member.owner].read_bytes())
    _write(target / "release.json", json.dumps(json.loads(release.to_json()), indent=2).encode())
    return target


def read_release(folder: Path) -> Release:
    """Read ``release.json``.

    Raises:
        MixtureError: there is none.
    """
    path = folder / "release.json"
    if not path.is_file():
        raise MixtureError(f"{folder} is no release: there is no release.json in it; `atoll mixture build` makes one")
    return Release.from_json(path.read_text("utf-8"))


@dataclass(frozen=True, eq=False, slots=True)
class OpenRelease:
    """A release that is loaded: what answers."""

    release: Release
    anchor: Anchor
    experts: Sequence[ExpertPackage]
    mixture: Mixture


def read_members(release: Release, folder: Path, anchor: Anchor) -> list[ExpertPackage]:
    """Verify and read the packages of a release.

    Raises:
        PackageError: a package that is missing, refused, or not the one that was released.
    """
    experts = []
    for member in release.members:
        path = folder / "experts" / f"{member.owner}.atoll"
        if not path.is_file():
            raise PackageError(f"{path}: the release names this expert, but the file is not there")
        experts.append(verify(path, member.owner, PublicKey.from_hex(member.public_key), anchor))
        if experts[-1].digest != member.digest:
            raise PackageError(f"{path}: holds {experts[-1].digest}, but the release was made with {member.digest}")
    return experts


def verify(source: Path | bytes, owner: str, key: PublicKey, anchor: Anchor) -> ExpertPackage:
    """Read one owner's package with every check there is.

    Raises:
        PackageError: refused, with the reason.
    """
    first = read_package(source, trusted=key, anchor=anchor.digest)
    kind = load("atoll.experts", first.card.kind)()
    expected = kind.expected_shapes(anchor.shapes, first.card.targets, first.card.settings)
    package = read_package(source, trusted=key, anchor=anchor.digest, expected_shapes=expected)
    if package.card.owner != owner:
        raise PackageError(f"package: is '{package.card.owner}'s, but came from '{owner}'")
    if package.card.sites != tuple(site.path for site in kind.sites(package.card.targets)):
        raise PackageError("package: the card's sites are not those of its targets")
    return package


def open_release(folder: Path, *, anchor: str = "", device: str = "cpu", without: Collection[str] = ()) -> OpenRelease:
    """Load a release from its folder.

    Args:
        folder: What :func:`write_release` wrote.
        anchor: Where the anchor is, if not where the release says.
        device: To load to.
        without: Owners whose experts are not even read.

    Raises:
        MixtureError, PackageError, AnchorError: it cannot be opened; the message says why.
    """
    release = read_release(folder)
    for owner in without:
        release = release.without(owner)
    found = resolve(anchor or release.anchor_name)
    if found.digest != release.anchor:
        raise AnchorError(f"{folder}: made with anchor {release.anchor}, but '{found.name}' is {found.digest}")
    experts = read_members(release, folder, found)
    if not experts:
        raise MixtureError(f"{folder}: nobody is left in the release")
    return OpenRelease(release, found, experts, integrate(release, found, found.model(device=device), experts, folder))


def integrate(
    release: Release, anchor: Anchor, model: nn.Module, experts: Sequence[ExpertPackage], cache: Path
) -> Mixture:
    """The release's mixture, from verified packages."""
    router = build("atoll.routers", release.router.name, release.router.options)
    integrator: Integrator = build("atoll.integrators", release.integrator.name, release.integrator.options)
    frame = public_descriptor(anchor, model, experts[0].card.sites, cache / "cache")
    return integrator.integrate(model, frame, experts, router)


def _write(path: Path, content: bytes) -> None:
    partial = path.with_suffix(".partial")
    partial.write_bytes(content)
    os.replace(partial, path)
