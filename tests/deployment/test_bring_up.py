"""From nothing to a release, with the commands of docs/deployment.md and nothing else."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from tests.deployment.federation import Federation, atoll, wait

from atoll.releases.opening import open_release

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_two_institutions_and_a_third_that_comes_later(make: Callable[..., Federation]) -> None:
    fed = make()
    before = {path: path.read_bytes() for path in fed.root.rglob("*") if path.is_file() and "tls" in str(path)}
    assert before
    fed.start("coordinator", "clinic", "court")
    fed.train()
    first = fed.release("--at-least", "2")
    opened = open_release(fed.folder / "releases" / "release-0001")
    assert opened.release.digest == first
    assert opened.release.owners == ("clinic", "court")

    # Everything that left is in the outbox, byte for byte as the coordinator counted it.
    for owner in ("clinic", "court"):
        wait("as many bytes here as there", partial(_agree, fed, owner))

    # Another institution: nobody else's files change, nobody is restarted, and it is asked for what was called before.
    kits = {path: path.read_bytes() for name in ("clinic", "court") for path in _kit(fed.node(name))}
    fed.enrol("yard")
    assert {path: path.read_bytes() for path in kits} == kits
    assert {path: path.read_bytes() for path in before} == before
    fed.start("yard")
    wait("the late owner's expert", lambda: len(fed.state().experts) == 3)
    assert fed.release() != first
    assert open_release(fed.folder / "releases" / "release-0002").release.owners == ("clinic", "court", "yard")
    assert atoll("ledger", "verify", fed.folder / "ledger.db").startswith("verified")

    # A withdrawal reaches the coordinator by itself, and the next release is what it was without that owner.
    atoll("node", "withdraw", fed.node("yard"), "--words", "we leave")
    wait("the withdrawal", lambda: fed.state().experts and len(_usable(fed)) == 2)
    assert fed.release() == first


def test_init_again_changes_nothing(make: Callable[..., Federation]) -> None:
    fed = make("clinic")
    kept = {path: path.read_bytes() for path in fed.root.rglob("*") if path.is_file() and path.suffix != ".db"}
    atoll("coordinator", "init", fed.folder, "--host", "localhost", "--host", "127.0.0.1")
    arguments: list[str | Path] = [
        "--owner",
        "clinic",
        "--data",
        fed.root / "data" / "clinic",
        "--domain",
        "other words",
    ]
    atoll("node", "init", fed.node("clinic"), "--invitation", fed.folder / "invitation.json", *arguments)
    atoll("coordinator", "approve", fed.folder, fed.node("clinic") / "enrolment.json")
    changed = {path.name for path, content in kept.items() if path.exists() and path.read_bytes() != content}
    assert changed <= {"ledger.db-wal", "ledger.db-shm"}


def _agree(fed: Federation, owner: str) -> bool:
    return _left(fed, owner) == _came(fed, owner) > 0


def _left(fed: Federation, owner: str) -> int:
    lines = atoll("node", "outbox", fed.node(owner), "--json").splitlines()
    return sum(int(json.loads(line)["bytes"]) for line in lines)


def _came(fed: Federation, owner: str) -> int:
    return next(int(each["received"]) for each in fed.status()["owners"] if each["owner"] == owner)


def _kit(node: Path) -> list[Path]:
    return [node / name for name in ("node.yaml", "owner.key", "node.key", "invitation.json", "enrolment.json")]


def _usable(fed: Federation) -> list[str]:
    found: list[str] = fed.state().usable("any", datetime.now(UTC))
    return found
