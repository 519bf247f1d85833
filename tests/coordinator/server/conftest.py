"""A coordinator's parts over a toy anchor, without a network."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.signed_facts import admitted

from atoll.anchors import Anchor
from atoll.coordinator.server.folder import ServerConfig, ServerFolder, init_server
from atoll.coordinator.server.shop import Shop
from atoll.coordinator.status.live import Live
from atoll.experts.card import Consent
from atoll.experts.package import write_package
from atoll.experts.signing import OwnerKey, Signer
from atoll.federation.blobs import BlobStore
from atoll.testing.anchors import toy_anchor
from atoll.testing.experts import toy_experts

KEYS = {owner: OwnerKey.generate() for owner in ("clinic", "court", "yard")}


@pytest.fixture(scope="session")
def anchor(tmp_path_factory: pytest.TempPathFactory) -> Anchor:
    return toy_anchor(tmp_path_factory.mktemp("anchor") / "toy")


@pytest.fixture
def shop(tmp_path: Path, anchor: Anchor) -> Iterator[Shop]:
    """Open, with three owners admitted."""
    folder: ServerFolder = init_server(tmp_path / "c", ServerConfig(hosts=["localhost"], anchor=str(anchor.path)))
    with folder.open_ledger() as ledger:
        for owner, key in KEYS.items():
            ledger.record(admitted(owner, domain="x", key=key, node_key=f"key of {owner}"))
        config = folder.read_config()
        yield Shop(folder, config, ledger, OwnerKey.load(folder.key), anchor, Live(), BlobStore(folder.packages))


def package(anchor: Anchor, owner: str, path: Path, *, key: Signer | None = None, until: str | None = None) -> Path:
    """An owner's expert as a file."""
    (made,) = toy_experts(anchor, [owner])
    card = replace(made.card, consent=Consent(purposes=("any",), until=until, statement=""))
    write_package(
        path, card=card, weights=made.weights, descriptor=made.descriptor, key=key or KEYS[owner], extra=made.extra
    )
    return path
