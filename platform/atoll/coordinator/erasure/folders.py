"""What lies in a folder, of a coordinator or of a run, for the copies in it to be erased."""

from pathlib import Path

from atoll.coordinator.erasure.eraser import Holdings
from atoll.coordinator.server.folder import ServerFolder
from atoll.errors import ConfigError
from atoll.experts.signing import OwnerKey
from atoll.federation.blobs import BlobStore
from atoll.ledger import Ledger
from atoll.releases.trust import own_issuer


def open_holdings(root: Path) -> tuple[Ledger, Holdings]:
    """The ledger of a folder, to be closed, and what it holds; a run's statements are signed as its releases are.

    Raises:
        ConfigError, LedgerError: it is neither a coordinator's folder nor a run's, or cannot be opened.
    """
    if (root / "coordinator.yaml").is_file():
        folder = ServerFolder(root)
        holdings = Holdings(root, BlobStore(folder.packages), folder.releases, OwnerKey.load(folder.key))
        return folder.open_ledger(), holdings
    if not (root / "ledger.db").is_file():
        raise ConfigError(f"{root}: is neither a coordinator's folder nor a run's: there is no ledger in it")
    holdings = Holdings(root, BlobStore(root / "packages"), root / "releases", own_issuer().key)
    return Ledger.open(root / "ledger.db", create=False), holdings
