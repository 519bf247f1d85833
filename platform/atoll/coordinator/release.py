"""A release: a numbered, immutable mixture with the experts that went into it, as a folder on its own."""

import hashlib
import json
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path

from torch import nn

from atoll.anchors import DEFAULT, Anchor, cache_root, resolve
from atoll.errors import AnchorError, FederationError, MixtureError, PackageError
from atoll.experts.arrival_config import ArrivalConfig
from atoll.experts.card import ExpertCard
from atoll.experts.files import atomic_stream, write_atomic
from atoll.experts.integrator import EXACT, Integrator
from atoll.experts.package import ExpertPackage, PackageFacts, read_package, verify_package
from atoll.experts.signing import PublicKey
from atoll.federation.units import Choice, MemberRef, Past, Unit
from atoll.mixture import ExpertKind, Mixture
from atoll.mixture.shared import Shared
from atoll.plugins import build, load
from atoll.workloads.workload import workload_class

_READY = (DEFAULT, "smollm2")
_NAME = "release.json"
_SHARED = "shared.safetensors"
_PREFIX = "release-"


@dataclass(frozen=True, kw_only=True)
class Release(Unit):
    """What a release consists of.

    Attributes:
        number: Counts up from 1.
        anchor: Digest of the anchor.
        anchor_name: Where the anchor is to be had: a name, or the absolute path that it had.
        kind: Of the experts.
        integrator: What made it.
        router: Over what.
        members: The experts, by owner's name.
        guarantee: What withdrawal leaves: ``exact``, or ``co-adapted: …`` with what was fitted and when.
        shared: Digest of the shared part, what was fitted over all members; empty for none.
    """

    number: int
    anchor: str
    anchor_name: str
    kind: str
    integrator: Choice
    router: Choice
    members: list[MemberRef]
    guarantee: str = EXACT
    shared: str = ""

    @property
    def digest(self) -> str:
        """Digest of all that decides what the mixture computes: not of signatures, keys, names of places or numbers."""
        content: dict[str, object] = {
            "anchor": self.anchor,
            "kind": self.kind,
            "integrator": asdict(self.integrator),
            "router": asdict(self.router),
            "members": sorted([member.owner, member.digest] for member in self.members),
            "guarantee": self.guarantee,
        }
        if self.shared:
            content["shared"] = self.shared
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
        # A folder's name alone would not find it again.
        anchor_name=anchor.name if anchor.name in _READY else str(anchor.path),
        kind=kind,
        integrator=integrator,
        router=router,
        members=sorted(members, key=lambda member: member.owner),
        guarantee=made.guarantee,
    )


def past_of(
    release: Release | None, *, integrator: Choice, router: Choice, stage: int, arrival: ArrivalConfig, replay: Choice
) -> Past:
    """A release as something to train beside.

    Args:
        release: The latest one; ``None`` where there is none yet.
        integrator: What makes mixtures.
        router: Over what.
        stage: The one that a new expert belongs to, counted from 1.
        arrival: How it is trained.
        replay: The generator.
    """
    return Past(
        release=release.digest if release else "",
        members=release.members if release else [],
        integrator=integrator,
        router=router,
        shared=release.shared if release else "",
        stage=stage,
        arrival=arrival,
        replay=replay,
    )


def co_adapted(release: Release, *, beside: bool) -> Release:
    """The release with what a withdrawal from it leaves, where something was fitted over several owners.

    Args:
        release: With its shared part, if it has one.
        beside: Whether some of its experts were trained beside others.
    """
    traces = ["the router was fitted on synthetic samples of all members"] if release.shared else []
    traces += ["later experts were trained beside earlier ones"] if beside else []
    return replace(release, guarantee=f"co-adapted: {'; '.join(traces)}") if traces else release


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


@dataclass(frozen=True, eq=False, slots=True)
class OpenRelease:
    """A release that is loaded: what answers.

    Attributes:
        release: What it consists of.
        anchor: The anchor, found and checked.
        experts: The verified packages, in the release's order.
        mixture: The model.
    """

    release: Release
    anchor: Anchor
    experts: Sequence[ExpertPackage]
    mixture: Mixture


def read_members(release: Release, folder: Path, anchor: Anchor | None) -> list[ExpertPackage]:
    """Verify and read the packages of a release; all but the tensors' shapes where there is no anchor to ask.

    Raises:
        PackageError: a package that is missing, refused, or not the one that was released.
    """
    experts = []
    for member in release.members:
        path = expert_file(folder, member.owner)
        if not path.is_file():
            raise PackageError(f"{path}: the release names this expert, but the file is not there")
        key = PublicKey.from_hex(member.public_key)
        if anchor is None:
            package = read_package(path, trusted=key, anchor=release.anchor)
        else:
            package = verify(path, member.owner, key, anchor)
        if package.digest != member.digest:
            raise PackageError(f"{path}: holds {package.digest}, but the release was made with {member.digest}")
        experts.append(package)
    return experts


def verify(source: Path | bytes, owner: str | None, key: PublicKey | None, anchor: Anchor) -> ExpertPackage:
    """Read a package with every check there is.

    Args:
        source: The package.
        owner: Whose it must be; ``None`` for whoever the card says.
        key: Who must have signed; ``None`` takes anyone's valid signature.
        anchor: What it must fit.

    Raises:
        PackageError: refused, with the reason.
    """
    return read_package(source, trusted=key, anchor=anchor.digest, expected_shapes=_fitting(owner, anchor))


def verify_facts(source: Path | bytes, owner: str | None, key: PublicKey | None, anchor: Anchor) -> PackageFacts:
    """Every check of :func:`verify`, for when the weights are not needed: of any size, in little memory.

    Args:
        source: The package.
        owner: Whose it must be; ``None`` for whoever the card says.
        key: Who must have signed; ``None`` takes anyone's valid signature.
        anchor: What it must fit.

    Raises:
        PackageError: refused, with the reason.
    """
    return verify_package(source, trusted=key, anchor=anchor.digest, expected_shapes=_fitting(owner, anchor))


def _fitting(owner: str | None, anchor: Anchor) -> Callable[[ExpertCard], Mapping[str, tuple[int, ...]]]:
    """What checks a card against owner and anchor, and tells the shapes that the weights must then have."""

    def shapes(card: ExpertCard) -> Mapping[str, tuple[int, ...]]:
        if owner is not None and card.owner != owner:
            raise PackageError(f"is '{card.owner}'s, but came from '{owner}'")
        kind: ExpertKind = load("atoll.experts", card.kind)()
        expected = kind.expected_shapes(anchor.shapes, card.targets, card.settings)
        if card.sites != tuple(site.path for site in kind.sites(card.targets)):
            raise PackageError("the card's sites are not those of its targets")
        return expected

    return shapes


def check_consent(experts: Sequence[ExpertPackage], today: date) -> None:
    """Refuse experts whose owners' consent has ended.

    Raises:
        MixtureError: names the owner and the day.
    """
    for expert in experts:
        until = expert.card.consent.until
        if until is not None and today > date.fromisoformat(until):
            owner = expert.card.owner
            raise MixtureError(f"the consent of '{owner}' ended on {until}: leave its expert out (--without {owner})")


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
    for owner in dict.fromkeys(without):
        release = release.without(owner)
    if not release.members:
        raise MixtureError(f"{folder}: nobody is left in the release")
    found = _find_anchor(release, anchor)
    experts = read_members(release, folder, found)
    check_consent(experts, date.today())
    mixture = integrate(release, found, found.model(device=device), experts)
    shared = read_shared(release, folder)
    if shared is not None:
        mixture = mixture.with_rows(shared.rows)
    # The mixture's own tensors, so that every expert is in memory once.
    weights = {member.owner: member.weights for member in mixture.members}
    experts = [replace(expert, weights=weights[expert.card.owner]) for expert in experts]
    return OpenRelease(release, found, experts, mixture)


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


def integrate(
    release: Release, anchor: Anchor, model: nn.Module, experts: Sequence[ExpertPackage], cache: Path | None = None
) -> Mixture:
    """The release's mixture, from verified packages.

    Args:
        release: Says how.
        anchor: The anchor.
        model: Its model, which is not changed.
        experts: The members' packages.
        cache: Where the anchor's descriptor is kept. Not the release's folder: that comes from elsewhere, and what its
            digest does not cover must not decide how tokens are routed.
    """
    router = build("atoll.routers", release.router.name, release.router.options)
    integrator: Integrator = build("atoll.integrators", release.integrator.name, release.integrator.options)
    frame = workload_class(anchor.workload).frame(
        anchor, model, experts[0].card.sites, cache or cache_root() / "descriptors"
    )
    return integrator.integrate(model, frame, experts, router)


def _find_anchor(release: Release, spec: str) -> Anchor:
    try:
        found = resolve(spec or release.anchor_name)
    except AnchorError as error:
        hint = "" if spec else "; the release was made with it: say where it is now with --anchor"
        raise AnchorError(f"{error}{hint}") from error
    if found.digest != release.anchor:
        raise AnchorError(
            f"the release was made with anchor {release.anchor}, but '{spec or release.anchor_name}' is "
            f"{found.digest}: give the folder of the right one with --anchor"
        )
    return found
