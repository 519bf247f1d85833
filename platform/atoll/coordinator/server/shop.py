"""What all parts of a running coordinator share."""

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from atoll.anchors import Anchor
from atoll.coordinator.server.folder import ServerConfig, ServerFolder
from atoll.coordinator.status.live import Live
from atoll.errors import FederationError
from atoll.experts.card import ExpertCard
from atoll.experts.files import write_atomic
from atoll.experts.receipts import Receipt, sign_receipt
from atoll.experts.signing import PublicKey, Signer
from atoll.federation.blobs import BlobStore
from atoll.federation.units import Unit
from atoll.ledger import Ledger, State
from atoll.releases.members import verify_facts

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KnownExpert:
    """What is known of an accepted expert's package without its weights."""

    card: ExpertCard
    public_key: PublicKey
    blob: str


@dataclass(slots=True)
class Shop:
    """Open once, for as long as the coordinator runs.

    Attributes:
        folder: Where everything is.
        config: How it works.
        ledger: What is so; everything that must not be lost is in it.
        key: Signs what nodes are asked.
        anchor: What experts are for.
        live: For the status page.
        packages: Experts, by content.
    """

    folder: ServerFolder
    config: ServerConfig
    ledger: Ledger
    key: Signer
    anchor: Anchor
    live: Live
    packages: BlobStore
    _known: dict[str, KnownExpert] = field(default_factory=dict)
    _receipted: datetime = field(default_factory=lambda: datetime.now(UTC))

    def receipt(self, state: State, owner: str) -> Receipt:
        """Where the ledger stands, signed, for an owner to keep; its time never goes back."""
        self._receipted = max(self._receipted, datetime.now(UTC), state.time or self._receipted)
        heard = state.owners[owner].statements
        head = state.head
        return sign_receipt(self.key, owner, head.sequence, head.digest, self._receipted, heard)

    def keep_unit(self, unit: Unit) -> str:
        """Keep a work unit's content; returns its address. It is on the disk before the ledger speaks of it."""
        path = self._unit(unit.address)
        path.parent.mkdir(exist_ok=True)
        if not path.exists():
            write_atomic(path, unit.to_json().encode())
        return unit.address

    def unit(self, address: str) -> str:
        """A work unit's content.

        Raises:
            FederationError: it is not here.
        """
        try:
            return self._unit(address).read_text("utf-8")
        except OSError as error:
            raise FederationError(f"{self._unit(address)}: the work unit is gone ({error.strerror})") from error

    def result_file(self, unit: str, owner: str) -> Path:
        """Where what an owner found is kept."""
        return self.folder.root / "results" / unit / f"{owner}.json"

    def expert(self, state: State, digest: str) -> KnownExpert:
        """An accepted expert, from its package; a damaged one is removed, so that it is fetched again.

        Raises:
            FederationError: the package is not here, or is damaged.
            PackageError: it does not verify, which it did.
        """
        if digest not in self._known:
            accepted = state.experts[digest].accepted
            package = verify_facts(self.packages.get(accepted.blob), accepted.owner, None, self.anchor)
            self._known[digest] = KnownExpert(package.card, package.public_key, accepted.blob)
        return self._known[digest]

    def _unit(self, address: str) -> Path:
        return self.folder.root / "units" / f"{address}.json"
