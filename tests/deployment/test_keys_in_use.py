"""Keys of real processes: one takes over while its node runs; a copied folder is noticed, and recovered from."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.deployment.federation import Federation, atoll, wait

from atoll.experts.signing import PublicKey

pytestmark = [pytest.mark.suite, pytest.mark.timeout(900)]


@pytest.fixture
def fed(tmp_path: Path) -> Iterator[Federation]:
    made = Federation(tmp_path, ["clinic"])
    try:
        made.start("coordinator", "clinic")
        yield made
    finally:
        made.stop()


def key(fed: Federation) -> str:
    return fed.state().owners["clinic"].admitted.public_key


def own(fed: Federation) -> str:
    return PublicKey.load(fed.node("clinic") / "owner.pub").hex


def test_a_key_takes_over_and_a_stolen_folder_is_recovered_from(fed: Federation) -> None:
    fed.train()
    atoll("node", "key", "rotate", fed.node("clinic"))
    wait("the new key is in the ledger", lambda: key(fed) == own(fed))
    fed.train("seed=1")
    assert len(fed.state().experts) == 2, "an expert under each key"
    fed.release()
    # Somebody copies the folder and lets its node answer.
    shutil.copytree(fed.node("clinic"), fed.root / "thief", ignore=shutil.ignore_patterns("flower", ".lock"))
    fed.start("thief")
    wait("the coordinator raises the alarm", lambda: "two nodes" in fed.said("coordinator"), 300)
    alarm = fed.node("clinic") / "alarms.log"
    wait("the node raises the alarm", lambda: alarm.exists() and "another node" in alarm.read_text(), 300)
    stolen = key(fed)
    atoll("coordinator", "revoke", fed.folder, "clinic", "--reason", "stolen")
    fed.programs["clinic"].stop()
    atoll("node", "enrol", fed.root / "thief", "--renew", "--keep-owner-key")
    assert "revoked" in atoll("coordinator", "approve", fed.folder, fed.root / "thief" / "enrolment.json", code=9)
    atoll("node", "enrol", fed.node("clinic"), "--renew")
    atoll("coordinator", "approve", fed.folder, fed.node("clinic") / "enrolment.json")
    assert key(fed) == own(fed) != stolen
    fed.start("clinic")
    fed.train("seed=2")
    accepted = [expert.accepted.expert for expert in fed.state().experts.values()]
    assert len(accepted) == 3
