"""Nodes and coordinators of this commit beside those of da9bb40, the last that knew no protocol versions.

Each side is a real process; the old one runs from the tree of its commit, taken from this repository's history.
"""

import io
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from tests.deployment.federation import TRAIN, Federation, atoll, wait

pytestmark = [pytest.mark.suite, pytest.mark.timeout(600)]
BEFORE = "da9bb40"
ROOTS = ("platform", "clients", "strategies", "benchmarks")
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment of a process that runs the commit before protocol versions."""
    command = ["git", "-C", str(REPOSITORY), "archive", "--format=tar", BEFORE, *ROOTS]
    try:
        archived = subprocess.run(command, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"the history does not reach back to {BEFORE}: {error}")
    tree = tmp_path_factory.mktemp("before")
    with tarfile.open(fileobj=io.BytesIO(archived)) as archive:
        archive.extractall(tree, filter="data")
    return {"PYTHONPATH": ":".join(str(tree / root) for root in ROOTS)}


@contextmanager
def as_before(before: dict[str, str]) -> Iterator[None]:
    """Commands inside are those of the commit before."""
    with pytest.MonkeyPatch.context() as patched:
        for name, value in before.items():
            patched.setenv(name, value)
        yield


def made_before(make: Callable[..., Federation], before: dict[str, str]) -> Federation:
    """Folders that the commit before made, and a training that it called for."""
    with as_before(before):
        fed = make("clinic")
        path = fed.node("clinic") / "policy.yaml"
        rules = {name: value for name, value in yaml.safe_load(path.read_text()).items() if name != "training"}
        path.write_text(yaml.safe_dump(rules))
        atoll("coordinator", "call", "train", fed.folder, *TRAIN)
    return fed


def taken_on(fed: Federation) -> list[Path]:
    return list((fed.node("clinic") / "works").glob("*"))


def test_an_old_node_is_told_to_upgrade_and_given_no_work(
    make: Callable[..., Federation], before: dict[str, str]
) -> None:
    fed = made_before(make, before)
    fed.start("coordinator")
    fed.start("clinic", **before)
    sentence = "the node of 'clinic' must upgrade Atoll"
    fed.wait_said("coordinator", sentence)
    status = fed.status()
    assert sentence in status["failures"][0]["reason"]
    assert sentence in status["owners"][0]["barred"]
    # What the owner says about consent is heard all the same.
    with as_before(before):
        atoll("node", "withdraw", fed.node("clinic"))
    wait("the withdrawal is heard", lambda: fed.state().owners["clinic"].statements == 1)
    assert not taken_on(fed), "it was given work"
    fed.programs["clinic"].stop()
    fed.start("clinic")
    wait("once upgraded it is barred no more", lambda: not fed.status()["owners"][0]["barred"])


def test_an_old_coordinator_is_told_to_upgrade_and_no_work_is_taken(
    make: Callable[..., Federation], before: dict[str, str]
) -> None:
    fed = made_before(make, before)
    fed.start("coordinator", **before)
    fed.start("clinic")
    sentence = "the coordinator must upgrade Atoll"
    fed.wait_said("coordinator", sentence)
    assert sentence in fed.said("clinic")
    assert not taken_on(fed), "it took work"
    fed.programs["coordinator"].stop()
    fed.start("coordinator")
    wait("once upgraded its work is taken on", lambda: taken_on(fed))
