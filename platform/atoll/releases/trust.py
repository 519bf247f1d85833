"""Whose releases are opened here, and how far each signer's numbers had come: kept by whoever opens.

::

    $ATOLL_STATE or ~/.local/state/atoll/
    ├── release.key, release.pub    signs what this user makes itself: `atoll run`, `atoll demo`, `atoll mixture build`
    └── releases.json               coordinators of this user's own, keys by folder, the highest number opened by key
"""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path

from filelock import FileLock

from atoll.config.decode import decode_json
from atoll.errors import ConfigError, DataError, MixtureError
from atoll.experts.files import write_atomic
from atoll.experts.signing import OwnerKey, PublicKey
from atoll.releases.envelope import Issuer, ReleaseEnvelope


def state_root() -> Path:
    """``$ATOLL_STATE``, or ``atoll`` in ``$XDG_STATE_HOME`` or ``~/.local/state``: what is trusted, not a cache."""
    given, base = os.environ.get("ATOLL_STATE"), os.environ.get("XDG_STATE_HOME")
    if given:
        return Path(os.path.expanduser(given))
    return (Path(base) if base else Path.home() / ".local" / "state") / "atoll"


@dataclass(frozen=True, kw_only=True)
class _Opened:
    """The highest release that was opened of a signer's."""

    number: int
    identity: str


@dataclass(frozen=True, kw_only=True)
class _Kept:
    """What ``releases.json`` holds: keys made here, the key by folder, what was opened by key."""

    own: list[str] = field(default_factory=list)
    pinned: dict[str, str] = field(default_factory=dict)
    opened: dict[str, _Opened] = field(default_factory=dict)


class ReleaseMemory:
    """What a user, or a process that serves, remembers of releases; a file that changes one at a time."""

    def __init__(self, root: Path | None = None) -> None:
        """At a folder, :func:`state_root` by default, which is made when there is something to remember."""
        self._root = root or state_root()
        self._path = self._root / "releases.json"

    def own_key(self) -> OwnerKey:
        """The key with which this user signs what it makes itself, made when it is first needed.

        Raises:
            ConfigError: it cannot be kept.
        """
        path = self._root / "release.key"
        self._make_root()
        with FileLock(self._root / ".lock"):
            if not path.exists():
                key = OwnerKey.generate()
                key.save(path)
                (self._root / "release.pub").unlink(missing_ok=True)
                key.public.save(self._root / "release.pub")
        return OwnerKey.load(path)

    @property
    def own_public(self) -> str:
        """Hex of the public half of :meth:`own_key`; empty before there is one."""
        path = self._root / "release.key"
        return OwnerKey.load(path).public.hex if path.exists() else ""

    def know(self, key: PublicKey) -> None:
        """Trust a key that was made here: that of a coordinator of this user's own."""
        kept = self._read()
        if key.hex not in kept.own:
            self._change(lambda now: replace(now, own=sorted({*now.own, key.hex})))

    def pin(self, folder: Path, key: PublicKey) -> None:
        """From now on, releases below the folder that this one is in are opened with this key only."""
        place = str(folder.resolve().parent)
        if self._read().pinned.get(place) != key.hex:
            self._change(lambda now: replace(now, pinned={**now.pinned, place: key.hex}))

    def pinned(self, folder: Path) -> str:
        """Hex of the key for this folder; empty where there is none."""
        return self._read().pinned.get(str(folder.resolve().parent), "")

    @property
    def own(self) -> list[str]:
        """Hex of the keys that were made here."""
        return self._read().own

    def check(self, envelope: ReleaseEnvelope) -> None:
        """Refuse a release that is older than one that was opened, or another one of the same number.

        Raises:
            MixtureError: it is.
        """
        last = self._read().opened.get(envelope.public_key)
        if last is None:
            return
        if envelope.number < last.number:
            raise MixtureError(
                f"release {envelope.number} is older than release {last.number} of the same signer, which was opened "
                "here before: somebody may be keeping the newer one from you; `--older` opens it all the same"
            )
        if envelope.number == last.number and envelope.identity != last.identity:
            raise MixtureError(
                f"there are two releases {envelope.number} under the signature of {envelope.signer.fingerprint}: the "
                "one here is not the one that was opened before; keep both folders, for they prove it"
            )
        if envelope.number == last.number + 1 and envelope.previous != last.identity:
            raise MixtureError(
                f"release {envelope.number} does not follow the release {last.number} that was opened here before; "
                "keep both folders, for they prove that its signer shows different releases to different people"
            )

    def remember(self, envelope: ReleaseEnvelope) -> None:
        """Note that a release was opened."""
        last = self._read().opened.get(envelope.public_key)
        if last is not None and last.number >= envelope.number:
            return
        opened = _Opened(number=envelope.number, identity=envelope.identity)
        self._change(lambda now: replace(now, opened={**now.opened, envelope.public_key: opened}))

    def _read(self) -> _Kept:
        try:
            kept = decode_json(self._path.read_text("utf-8"), _Kept, "releases.json")
        except FileNotFoundError:
            return _Kept()
        except (OSError, UnicodeDecodeError, DataError) as error:
            raise ConfigError(
                f"{self._path}: cannot be read ({error}); it says whose releases are trusted: repair it, or remove it "
                "and name the keys again with --key"
            ) from error
        assert isinstance(kept, _Kept)
        return kept

    def _change(self, change: Callable[[_Kept], _Kept]) -> None:
        self._make_root()
        with FileLock(self._root / ".lock"):
            text = json.dumps(asdict(change(self._read())), indent=2, sort_keys=True)
            write_atomic(self._path, f"{text}\n".encode(), mode=0o600)

    def _make_root(self) -> None:
        try:
            self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise ConfigError(
                f"{self._root}: cannot be made ({error.strerror}), and what is trusted is kept there; name a folder "
                "that can be written in ATOLL_STATE"
            ) from error


def own_issuer(head: str = "") -> Issuer:
    """This user as the signer of what it makes itself; such a signature does not expire.

    Raises:
        ConfigError: its key cannot be kept.
    """
    return Issuer(ReleaseMemory().own_key(), head=head)


@dataclass(frozen=True, kw_only=True)
class Trust:
    """Which releases are opened.

    Without a key, these are trusted: the key that this user signs with, those of coordinators that it made, and the one
    that releases in this folder were opened with before.

    Attributes:
        key: Who must have signed.
        first: Trust whoever signed what is opened here for the first time, and nobody else from then on.
        older: Open one that is older than what was opened before, or expired.
        unsigned: Open one without an envelope, as they were before there were envelopes.
        memory: What was opened before; ``None``, with a key only, remembers nothing.
    """

    key: PublicKey | None = None
    first: bool = False
    older: bool = False
    unsigned: bool = False
    memory: ReleaseMemory | None = field(default_factory=ReleaseMemory)

    def check(self, envelope: ReleaseEnvelope, folder: Path, now: datetime) -> None:
        """Refuse an envelope by somebody else, an older one than was opened before, and one that has expired.

        Raises:
            MixtureError: it is one of these; the message says what can be done.
        """
        self._check_signer(envelope, folder)
        own = self.memory is not None and envelope.public_key == self.memory.own_public
        if self.older or own:
            return
        if self.memory is not None:
            self.memory.check(envelope)
        if envelope.expired(now):
            raise MixtureError(
                f"{folder}: its signature held until {envelope.expires}; there is a newer one at its coordinator, "
                "which renews it; `--older` opens this one all the same"
            )

    def remember(self, envelope: ReleaseEnvelope, folder: Path) -> None:
        """Note what was opened, and by whose signature."""
        if self.memory is None or envelope.public_key == self.memory.own_public:
            return
        self.memory.pin(folder, envelope.signer)
        self.memory.remember(envelope)

    def _check_signer(self, envelope: ReleaseEnvelope, folder: Path) -> None:
        found = envelope.signer.fingerprint
        if self.key is not None:
            if envelope.public_key != self.key.hex:
                raise MixtureError(f"{folder}: is signed by {found}, not by {self.key.fingerprint}")
            return
        assert self.memory is not None, "without a memory there must be a key"
        if pinned := self.memory.pinned(folder):
            if envelope.public_key != pinned:
                known = PublicKey.from_hex(pinned).fingerprint
                raise MixtureError(
                    f"{folder}: is signed by {found}, but releases here were signed by {known} before; ask their "
                    "coordinator, and if the key is new, name it with `--key`"
                )
        elif envelope.public_key not in {self.memory.own_public, *self.memory.own} and not self.first:
            raise MixtureError(
                f"{folder}: is signed by {found}, whom nobody here has named: compare that with what its coordinator "
                "reads out, and name the key with `--key` (64 digits, coordinator.pub or invitation.json), or give "
                "`--trust-first` to trust it from now on"
            )
