"""The owner's keys in a node's folder: the one in force, the one that comes after it, and those that sign no more.

::

    hospital/
    ├── owner.key, owner.pub     in force; with a passphrase, if the owner gave it one
    ├── owner.agent              in the place of owner.key: an agent or a token holds the key, and this names it
    ├── next.key or next.agent   takes over when the coordinator has heard that the old key signed it
    └── retired/                 what was replaced, by fingerprint; nothing reads it any more
"""

import functools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from atoll.errors import ConfigError
from atoll.experts.files import write_atomic
from atoll.experts.key_agent import AgentKey, agent_keys
from atoll.experts.signing import OwnerKey, PublicKey, Signer, is_protected, passphrase_here

_CURRENT, _NEXT = "owner", "next"


@dataclass(frozen=True, slots=True)
class OwnerKeys:
    """Where they are.

    Attributes:
        root: The node's folder.
    """

    root: Path

    @property
    def exists(self) -> bool:
        """Whether there is a key in force."""
        return any(path.exists() for path in self._files(_CURRENT))

    @property
    def protected(self) -> bool:
        """Whether a passphrase is needed."""
        return any(is_protected(self.root / f"{name}.key") for name in (_CURRENT, _NEXT))

    @property
    def in_agent(self) -> bool:
        """Whether an agent or a token holds the key in force."""
        return (self.root / f"{_CURRENT}.agent").exists()

    def current(self) -> Signer:
        """The key in force.

        Raises:
            ConfigError: there is none, or it cannot be used.
        """
        return self._load(_CURRENT)

    def next(self) -> Signer | None:
        """The key that comes after it; ``None`` where none was made.

        Raises:
            ConfigError: it cannot be used.
        """
        return self._load(_NEXT) if any(path.exists() for path in self._files(_NEXT)) else None

    def make(self) -> Signer:
        """A first key.

        Raises:
            ConfigError: there is one, or it cannot be written.
        """
        key = OwnerKey.generate()
        key.save(self.root / "owner.key")
        self._save_public(key.public)
        return key

    def make_next(self, agent: str | None = None) -> Signer:
        """The key that is to come after the one in force; it has that one's passphrase, or an agent holds it.

        Args:
            agent: Fingerprint or hexadecimal digits of a key that an agent holds, or nothing for its only one; ``None``
                for a key in a file.

        Raises:
            ConfigError: there is one already, or the agent does not hold such a key.
        """
        if self.next() is not None:
            raise ConfigError(f"{self.root}: has a next key already, which the coordinator has not heard of yet")
        if agent is not None:
            held = _held(agent, self.current().public)
            write_atomic(self.root / "next.agent", json.dumps({"public_key": held.hex}).encode() + b"\n")
            return AgentKey(held)
        key = OwnerKey.generate()
        key.save(self.root / "next.key", passphrase_here() if is_protected(self.root / "owner.key") else None)
        return key

    def advance(self) -> None:
        """Put the next key in force; the one that was is kept aside and signs no more."""
        coming = self.next()
        if coming is None:
            return
        self.retire()
        for source, target in zip(self._files(_NEXT), self._files(_CURRENT), strict=True):
            if source.exists():
                source.rename(target)
        self._save_public(coming.public)

    def replace(self) -> Signer:
        """A new key in the place of one that was stolen or lost, without that one's word."""
        self.retire()
        for path in self._files(_NEXT):
            path.unlink(missing_ok=True)
        return self.make()

    def retire(self) -> None:
        """Set the key in force aside."""
        aside = self.root / "retired"
        public = self.root / "owner.pub"
        known = PublicKey.load(public).fingerprint[:14] if public.exists() else "unknown"
        aside.mkdir(exist_ok=True, mode=0o700)
        for path in (*self._files(_CURRENT), public):
            if path.exists():
                path.rename(_free(aside, f"{known}{path.suffix}"))

    def protect(self, passphrase: bytes | None) -> None:
        """Give the keys' files a passphrase, or take it away.

        Raises:
            ConfigError: an agent holds the key, or the old passphrase is not the right one.
        """
        if self.in_agent:
            raise ConfigError(f"{self.root}: an agent holds the owner's key; it is protected there")
        for name in (_CURRENT, _NEXT):
            path = self.root / f"{name}.key"
            if path.exists():
                OwnerKey.load(path).save(path, passphrase, overwrite=True)

    def _load(self, name: str) -> Signer:
        file, agent = self._files(name)
        if agent.exists():
            try:
                return AgentKey(PublicKey.from_hex(json.loads(agent.read_text("utf-8"))["public_key"]))
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise ConfigError(f"{agent}: does not name a key that an agent holds: {error}") from error
        stamp = file.stat().st_mtime_ns if file.exists() else 0
        return _load_file(file, stamp)

    def _files(self, name: str) -> tuple[Path, Path]:
        return self.root / f"{name}.key", self.root / f"{name}.agent"

    def _save_public(self, key: PublicKey) -> None:
        (self.root / "owner.pub").unlink(missing_ok=True)
        key.save(self.root / "owner.pub")


@functools.lru_cache(maxsize=16)
def _load_file(path: Path, stamp: int) -> OwnerKey:
    """The key of a file; read again when the file was replaced, for a passphrase takes a while to be tried."""
    return OwnerKey.load(path)


def _held(named: str, current: PublicKey) -> PublicKey:
    held = [key for key in agent_keys() if key != current]
    meant = [key for key in held if not named or named in (key.hex, key.fingerprint)]
    if len(meant) != 1:
        listed = ", ".join(_shown(held)) or "none"
        raise ConfigError(f"name one of the other Ed25519 keys that the agent holds: {listed}")
    return meant[0]


def _shown(keys: Iterable[PublicKey]) -> list[str]:
    return [key.fingerprint for key in keys]


def _free(folder: Path, name: str) -> Path:
    path, number = folder / name, 1
    while path.exists():
        number += 1
        path = folder / f"{Path(name).stem}-{number}{Path(name).suffix}"
    return path
