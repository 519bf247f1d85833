"""An institution without a network: trained there, carried over as a file, with the same checks and entries."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from tests.deployment.federation import TRAIN, Federation, atoll

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_expert_goes_by_stick(make: Callable[..., Federation], tmp_path: Path) -> None:
    fed = make("clinic")
    node = fed.node("clinic")
    said = atoll("node", "train", node, "--offline", *TRAIN)
    folder = next(line.split(maxsplit=1)[1] for line in said.splitlines() if line.startswith("Trained:"))
    package = tmp_path / "clinic.atoll"
    atoll("expert", "pack", folder, "--out", package, "--key", node / "owner.key")
    assert "accepted: sha256:" in atoll("coordinator", "accept", fed.folder, package)
    atoll("coordinator", "accept", fed.folder, package)
    state = fed.state()
    assert [expert.accepted.owner for expert in state.experts.values()] == ["clinic"]
    assert state.bytes_from == {"clinic": package.stat().st_size}

    # The same by the network gives the same expert: the ledger has nothing to add.
    fed.start("coordinator", "clinic")
    fed.train()
    assert len(fed.state().experts) == 1
    assert "release 1 of clinic" in fed.call("release")

    # A withdrawal goes by stick too, and by nobody else's.
    fed.stop()
    atoll("node", "withdraw", node)
    statement = next((node / "statements").glob("*.json"))
    forged = tmp_path / "forged.json"
    forged.write_text(statement.read_text().replace("withdrawn by the owner", "withdrawn by the thief"))
    assert "signature does not fit" in atoll("coordinator", "accept", fed.folder, forged, code=8)
    assert "accepted" in atoll("coordinator", "accept", fed.folder, statement)
    assert "withdrawn" in atoll("ledger", "show", fed.folder / "ledger.db")


def test_refused_files_change_nothing(make: Callable[..., Federation], tmp_path: Path) -> None:
    fed = make("clinic")
    node = fed.node("clinic")
    rules = yaml.safe_load((node / "policy.yaml").read_text())
    (node / "policy.yaml").write_text(yaml.safe_dump({**rules, "kinds": ["ffn"]}))
    assert "'lora' is not among the policy's kinds" in atoll("node", "train", node, "--offline", *TRAIN, code=8)
    (node / "policy.yaml").write_text(yaml.safe_dump(rules))
    folder = atoll("node", "train", node, "--offline", *TRAIN).split("Trained:")[1].split()[0]
    atoll("expert", "key", "new", tmp_path / "stranger.key")
    package = tmp_path / "clinic.atoll"
    atoll("expert", "pack", folder, "--out", package, "--key", tmp_path / "stranger.key")
    head = fed.state().head
    assert "not by the trusted key" in atoll("coordinator", "accept", fed.folder, package, code=4)
    assert "no such file" in atoll("coordinator", "accept", fed.folder, tmp_path / "nothing.atoll", code=4)
    (tmp_path / "noise.atoll").write_bytes(b"\x00" * 1000)
    atoll("coordinator", "accept", fed.folder, tmp_path / "noise.atoll", code=4)
    assert fed.state().head == head
    assert not list((fed.folder / "packages").glob("*"))
