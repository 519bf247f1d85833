"""The other members as this node knows them: pinned by its owner, vouched for by members, or certified.

::

    hospital/peers/
    ├── pinned.json          names and keys that the owner compared with those institutions itself
    └── 4f2a….json           co-signatures, certificates and rotations of keys, each signed by who says so
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from atoll.clients.gate.policy import ANYBODY, PINNED, Policy
from atoll.clients.gate.refusal import Refusal
from atoll.errors import ConfigError, FederationError
from atoll.experts.files import write_atomic
from atoll.experts.identity import Key, Proof, Vouching, known_keys, proofs_digest, read_proof, read_roots
from atoll.experts.signing import PublicKey, Signer
from atoll.experts.statements import KeyRotation

log = logging.getLogger(__name__)
_MOST = 10_000
"""Documents that are kept; a coordinator that sends more is not heard on this."""
_LONGEST = 1 << 17


class Member(Protocol):
    """Whoever a unit names as the owner of an expert."""

    @property
    def owner(self) -> str: ...  # noqa: D102

    @property
    def public_key(self) -> str: ...  # noqa: D102


class Peers:
    """Names and keys, and the documents that speak for them."""

    def __init__(self, folder: Path, owner: str, key: Callable[[], Signer]) -> None:
        """At a node's folder; nothing is made before something is kept.

        Args:
            folder: The node's.
            owner: Its own.
            key: The owner's key in force.
        """
        self._folder, self._owner, self._key = folder / "peers", owner, key
        self._file = self._folder / "pinned.json"
        self.heard = ""
        """Digest of what the coordinator sent last."""

    def pinned(self) -> dict[str, str]:
        """Keys in hexadecimal digits that the owner pinned, by name.

        Raises:
            ConfigError: the file cannot be read.
        """
        try:
            found = json.loads(self._file.read_text("utf-8"))
            return {str(owner): PublicKey.from_hex(key).hex for owner, key in found.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError, TypeError, ConfigError) as error:
            raise ConfigError(
                f"{self._file}: cannot be read ({error}); repair it, or remove it and pin anew"
            ) from error

    def pin(self, owner: str, key: PublicKey) -> None:
        """Keep a key that the owner compared with that institution itself."""
        self._folder.mkdir(parents=True, exist_ok=True)
        kept = {**self.pinned(), owner: key.hex}
        write_atomic(self._file, json.dumps(kept, indent=2, sort_keys=True).encode() + b"\n")

    def unpin(self, owner: str) -> bool:
        """Forget a pinned key; returns whether there was one."""
        kept = self.pinned()
        if owner not in kept:
            return False
        del kept[owner]
        write_atomic(self._file, json.dumps(kept, indent=2, sort_keys=True).encode() + b"\n")
        return True

    def keep(self, text: str) -> Proof:
        """Keep a document that says whose a key is.

        Raises:
            FederationError: it is none, does not verify, or there are too many.
        """
        if len(text) > _LONGEST:
            raise FederationError("a proof of whose a key is has at most 128 KiB")
        proof = read_proof(text)
        path = self._folder / f"{hashlib.sha256(proof.to_line().encode()).hexdigest()[:32]}.json"
        if not path.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            if sum(1 for _ in self._folder.iterdir()) > _MOST:
                raise FederationError(f"{self._folder} holds {_MOST} documents already, and takes no more")
            write_atomic(path, proof.to_json().encode())
        return proof

    def hear(self, texts: Sequence[str]) -> None:
        """Keep what the coordinator hands on; it cannot make such documents, so its word is not needed."""
        if not texts:
            return
        for text in texts:
            try:
                self.keep(text)
            except FederationError as error:
                log.warning("a proof of whose a key is, from the coordinator, is left out: %s", error)
        self.heard = proofs_digest(texts)

    def known(self, policy: Policy, at: datetime) -> set[Key]:
        """Names and keys that pass under the policy.

        Raises:
            ConfigError: what is pinned, or the authorities that the policy names, cannot be read.
        """
        given = {*self.pinned().items(), (self._owner, self._key().public.hex)}
        proofs = list(self._proofs())
        if policy.peers == PINNED:
            proofs = [proof for proof in proofs if isinstance(proof, KeyRotation)]
            return known_keys(given, proofs, Vouching(cosigners=1), at)
        roots = read_roots(Path(policy.peer_roots)) if policy.peer_roots else ()
        return known_keys(given, proofs, Vouching(cosigners=policy.peer_cosigners, roots=roots), at)

    def allow(self, policy: Policy, members: Iterable[Member]) -> None:
        """Raise Refusal for an expert of somebody whom the node does not know; anyone passes under ``peers: any``."""
        if policy.peers == ANYBODY:
            return
        known = self.known(policy, datetime.now(UTC))
        for member in members:
            if (member.owner, member.public_key) not in known:
                shown = _fingerprint(member.public_key)
                raise Refusal(
                    f"'{member.owner[:80]}' with the key {shown} is not known to this node (peers: {policy.peers}): "
                    "its owner can pin it after comparing the key (atoll node peer add)"
                )

    def _proofs(self) -> Iterable[Proof]:
        for path in sorted(self._folder.glob("*.json")):
            if path != self._file:
                try:
                    yield read_proof(path.read_text("utf-8"))
                except (FederationError, OSError, UnicodeDecodeError) as error:
                    log.warning("%s is left out: %s", path, error)


def _fingerprint(key: str) -> str:
    try:
        return PublicKey.from_hex(key).fingerprint
    except ConfigError:
        return "that is none"
