"""A coordinator's folder is made whole or not at all, and nothing in it is ever made anew."""

from pathlib import Path

import pytest

from atoll.anchors import Anchor
from atoll.coordinator.server.folder import ServerConfig, init_server
from atoll.errors import AtollError
from atoll.experts.signing import OwnerKey
from atoll.federation.handover import Invitation


@pytest.mark.parametrize(
    "wrong",
    [
        {"hosts": [""]},
        {"hosts": []},
        {"port": 0},
        {"anchor": "no-such-anchor"},
        {"ledger": "nonsense://x"},
        {"certificate": "/nowhere.crt", "key": "/nowhere.key", "ca": "/nowhere.ca"},
        {"certificate": "/nowhere.crt"},
    ],
    ids=str,
)
def test_what_cannot_be_leaves_no_folder(tmp_path: Path, anchor: Anchor, wrong: dict[str, object]) -> None:
    config = ServerConfig(**{"hosts": ["localhost"], "anchor": str(anchor.path), **wrong})  # type: ignore[arg-type]
    with pytest.raises(AtollError):
        init_server(tmp_path / "c", config)
    assert not (tmp_path / "c").exists()


def test_again_it_completes_and_changes_nothing(tmp_path: Path, anchor: Anchor) -> None:
    config = ServerConfig(hosts=["one.example"], anchor=str(anchor.path))
    folder = init_server(tmp_path / "c", config)
    kept = {path: path.read_bytes() for path in folder.root.rglob("*") if path.is_file() and "ledger" not in path.name}
    init_server(tmp_path / "c", ServerConfig(hosts=["two.example"], anchor="no-such-anchor"))
    assert {path: path.read_bytes() for path in kept} == kept
    folder.invitation.unlink()
    init_server(tmp_path / "c", config)
    made = Invitation.load(folder.invitation)
    assert made.public_key == OwnerKey.load(folder.key).public.hex
    assert made.address == "one.example:9443"
    assert made.anchor_digest == anchor.digest
