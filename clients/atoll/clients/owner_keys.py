"""The owner's keys in a node's folder: the one in force, its predecessors' word for it, and those that sign no more.

::

    hospital/
    ├── owner.key, owner.pub     in force; with a passphrase, if the owner gave it one
    ├── owner.agent              in the place of owner.key: an agent or a token holds the key, and this names it
    ├── rotations/000001.json    by which a key took over from the one before; told to the coordinator
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
from atoll.experts.statements import KeyRotation, rotation


@dataclass(frozen=True, slots=True)
class OwnerKeys:
    """Where they are.

    Attributes:
        root: The node's folder.
    """

    root: Path

    @property
    def exists(self) -> bool:
        """Whether there is a key."""
        return self._file.exists() or self._agent.exists()

    @property
    def protected(self) -> bool:
        """Whether a passphrase is needed."""
        return is_protected(self._file)

    @property
    def in_agent(self) -> bool:
        """Whether an agent or a token holds the key."""
        return self._agent.exists()

    def current(self) -> Signer:
        """The key in force.

        Raises:
            ConfigError: there is none, or it cannot be used.
        """
        if not self._agent.exists():
            return _load_file(self._file, self._file.stat().st_mtime_ns if self._file.exists() else 0)
        try:
            return AgentKey(PublicKey.from_hex(json.loads(self._agent.read_text("utf-8"))["public_key"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{self._agent}: does not name a key that an agent holds: {error}") from error

    def make(self) -> Signer:
        """A first key.

        Raises:
            ConfigError: there is one, or it cannot be written.
        """
        key = OwnerKey.generate()
        key.save(self._file)
        self._save_public(key.public)
        return key

    def rotate(self, owner: str, agent: str | None = None) -> tuple[KeyRotation, Path]:
        """Let another key take over, on the word of the one in force; it has that one's passphrase.

        Args:
            owner: Whose keys these are.
            agent: Fingerprint or hexadecimal digits of a key that an agent holds, or nothing for its only one; ``None``
                for a key in a file.

        Returns:
            The document that says so, and its file.

        Raises:
            ConfigError: the key in force cannot be used, or the agent does not hold such a key.
        """
        old = self.current()
        new: Signer = OwnerKey.generate() if agent is None else AgentKey(_held(agent, old.public))
        made = rotation(owner, old, new)
        coming = self.root / "next.key"
        coming.unlink(missing_ok=True)
        if isinstance(new, OwnerKey):
            new.save(coming, passphrase_here() if self.protected else None)
        # The word of the old key is on the disk before that key is set aside.
        folder = self.root / "rotations"
        folder.mkdir(exist_ok=True)
        path = folder / f"{len(list(folder.glob('*.json'))) + 1:06d}.json"
        made.save(path)
        self._retire()
        if isinstance(new, OwnerKey):
            coming.rename(self._file)
        else:
            write_atomic(self._agent, json.dumps({"public_key": new.public.hex}).encode() + b"\n")
        self._save_public(new.public)
        return made, path

    def rotations(self) -> list[str]:
        """The documents by which keys took over, in order, a line each."""
        files = sorted((self.root / "rotations").glob("[0-9]*.json"))
        return [KeyRotation.load(path).to_line() for path in files]

    def replace(self) -> Signer:
        """A new key in the place of one that was stolen or lost, without that one's word.

        Raises:
            ConfigError: it cannot be written.
        """
        self._retire()
        said = self.root / "rotations"
        for path in said.glob("*.json"):
            path.rename(_free(self.root / "retired", path.name))
        return self.make()

    def protect(self, passphrase: bytes | None) -> None:
        """Give the key's file a passphrase, or take it away.

        Raises:
            ConfigError: an agent holds the key, or the old passphrase is not the right one.
        """
        if self.in_agent:
            raise ConfigError(f"{self.root}: an agent holds the owner's key; it is protected there")
        OwnerKey.load(self._file).save(self._file, passphrase, overwrite=True)

    def _retire(self) -> None:
        """Set the key in force aside."""
        aside, public = self.root / "retired", self.root / "owner.pub"
        known = PublicKey.load(public).fingerprint[:14] if public.exists() else "unknown"
        aside.mkdir(exist_ok=True, mode=0o700)
        for path in (self._file, self._agent, public):
            if path.exists():
                path.rename(_free(aside, f"{known}{path.suffix}"))

    @property
    def _file(self) -> Path:
        return self.root / "owner.key"

    @property
    def _agent(self) -> Path:
        return self.root / "owner.agent"

    def _save_public(self, key: PublicKey) -> None:
        (self.root / "owner.pub").unlink(missing_ok=True)
        key.save(self.root / "owner.pub")


@dataclass(frozen=True, slots=True)
class KeyInForce:
    """A signer with whatever key is in force when it signs: a running node needs no restart when it changes.

    Attributes:
        keys: Where they are.
    """

    keys: OwnerKeys

    @property
    def public(self) -> PublicKey:
        """The public half."""
        return self.keys.current().public

    def sign(self, data: bytes) -> bytes:
        """64 bytes."""
        return self.keys.current().sign(data)


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
