"""Whatever fails, nothing is lost, nothing is counted twice, and nobody has to be restarted by hand."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.deployment.federation import TRAIN, Federation, Program, atoll, processes, wait

from atoll.ledger import State

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
KILLED: list[str | Path] = [sys.executable, Path(__file__).parent / "killed.py"]
LARGE: dict[str, Any] = {"hidden_size": 256, "intermediate_size": 1024}
"""Of an anchor whose experts take several pieces."""
WHOLE = ["expert.kind=ffn", *(setting for setting in TRAIN if not setting.startswith("expert."))]


def _finish(fed: Federation) -> State:
    """Wait for the release that was called for, and see that everything is there once."""
    wait("the release", lambda: fed.state().releases, 300)
    state = fed.state()
    owners = [expert.accepted.owner for expert in state.experts.values()]
    assert sorted(owners) == sorted(state.owners)
    sizes = {expert.accepted.blob: 0 for expert in state.experts.values()}
    for owner in state.owners:
        blob = next(expert.accepted.blob for expert in state.experts.values() if expert.accepted.owner == owner)
        sizes[blob] = (fed.folder / "packages" / blob.removeprefix("sha256:")).stat().st_size
        assert state.bytes_from[owner] == sizes[blob], "a transfer is counted twice, or not at all"
    assert len(state.releases) == 1
    assert atoll("ledger", "verify", fed.folder / "ledger.db").startswith("verified")
    return state


def _digest(state: State) -> str:
    digest: str = state.releases[1].released.digest
    return digest


def _called(fed: Federation, settings: list[str]) -> None:
    """Calls that wait in the ledger, for whoever comes."""
    atoll("coordinator", "call", "train", fed.folder, *settings)
    atoll("coordinator", "call", "release", fed.folder, "--at-least", "2")


def _pieces_of(fed: Federation, mib: int) -> None:
    path = fed.folder / "coordinator.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "piece_mib": mib}))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Digest of the release of a federation that nothing happens to."""
    fed = Federation(tmp_path_factory.mktemp("undisturbed"))
    try:
        fed.start("coordinator", "clinic", "court")
        _called(fed, TRAIN)
        yield _digest(_finish(fed))
    finally:
        fed.stop()


@pytest.mark.suite
def test_killed_around_every_step_of_the_journal(make: Callable[..., Federation], undisturbed: str) -> None:
    fed = make()
    _called(fed, TRAIN)
    fed.start("clinic", "court")
    deaths = 0
    for moment in ("before", "after") * 20:
        if fed.state().releases:
            break
        log = fed.root / "coordinator.log"
        program = Program([*KILLED, moment, "1", "coordinator", "up", fed.folder], log)
        fed.programs["coordinator"] = program
        head = fed.state().head.sequence
        wait("its death", lambda program=program: not program.alive, 200)  # type: ignore[misc]
        deaths += 1
        assert (fed.state().head.sequence > head) == (moment == "after")
    assert deaths >= 6, "asked for two experts, took two, released: each before and after"
    fed.start("coordinator")
    assert _digest(_finish(fed)) == undisturbed


@pytest.mark.suite
def test_killed_ten_times_while_experts_arrive(make: Callable[..., Federation]) -> None:
    fed = make()
    fed.large(LARGE)
    _pieces_of(fed, 1)
    _called(fed, WHOLE)
    fed.start("coordinator", "clinic", "court")
    wait("the first pieces", lambda: list(fed.folder.glob("packages/.incoming-*")), 200)
    draw, sizes = random.Random(0), []
    for _ in range(10):
        time.sleep(draw.uniform(0.2, 2.0))
        fed.programs["coordinator"].kill()
        for pid in processes(str(fed.folder / "flower")):
            if draw.random() < 0.5:
                os.kill(pid, signal.SIGKILL)
        sizes.append(_received(fed))
        fed.start("coordinator")
        wait("it listens again", lambda: "listening" in fed.programs["coordinator"].said()[-4000:], 100)
    assert sizes == sorted(sizes), "what had arrived was fetched again from the beginning"
    killed = _digest(_finish(fed))
    fed.stop()
    other = Federation(fed.root / "undisturbed")
    try:
        other.large(LARGE)
        other.start("coordinator", "clinic", "court")
        _called(other, WHOLE)
        assert _digest(_finish(other)) == killed
    finally:
        other.stop()


@pytest.mark.suite
def test_coordinator_and_superlink_killed(make: Callable[..., Federation], undisturbed: str) -> None:
    fed = make()
    fed.start("coordinator", "clinic", "court")
    _called(fed, TRAIN)
    wait("work has begun", lambda: fed.state().open)
    fed.programs["coordinator"].kill()
    head = fed.state().head
    fed.start("coordinator")
    wait("it goes on", lambda: fed.state().head.sequence > head.sequence)
    superlink = wait("SuperLink", lambda: processes("atoll.federation.flower.superlink --host 127.0.0.1"))
    mine = [
        pid
        for pid in superlink
        if str(fed.folder) in Path(f"/proc/{pid}/cmdline").read_text("utf-8").replace("\0", " ")
    ]
    for pid in mine:
        os.kill(pid, signal.SIGKILL)
    assert mine
    assert _digest(_finish(fed)) == undisturbed
    for owner in ("clinic", "court"):
        assert fed.programs[owner].alive


def test_two_coordinators_on_one_ledger(make: Callable[..., Federation]) -> None:
    fed = make("clinic")
    fed.start("coordinator")
    fed.wait_said("coordinator", "listening")
    said = atoll("coordinator", "up", fed.folder, code=9)
    assert "another process works here, and only one may" in said
    assert fed.programs["coordinator"].alive


@pytest.mark.suite
def test_node_killed_in_training_goes_on_from_its_checkpoint(make: Callable[..., Federation]) -> None:
    fed = make("clinic")
    fed.start("coordinator", "clinic")
    steps = 3000
    atoll("coordinator", "call", "train", fed.folder, *TRAIN, f"training.steps={steps}", "training.patience=0")
    atoll("coordinator", "call", "release", fed.folder)
    checkpoint = wait("a checkpoint", lambda: list(fed.node("clinic").glob("work/*/checkpoint.pt")))[0]
    time.sleep(1)
    fed.programs["clinic"].kill()
    wait("its worker and SuperNode are gone", lambda: not processes(str(fed.node("clinic"))))
    reached = _step(checkpoint)
    assert 0 < reached < steps, "the test must kill it in the middle"
    seen: list[int] = []
    fed.start("clinic")

    def released() -> bool:
        seen.extend(each["done"] for each in fed.status()["work"] if each["done"])
        return bool(fed.state().releases)

    wait("the release", released, 300)
    assert all(done >= reached for done in seen), (reached, seen)


@pytest.mark.suite
def test_vanished_node_is_waited_for_no_longer_than_asked(make: Callable[..., Federation]) -> None:
    fed = make()
    fed.start("coordinator", "clinic", "court")
    fed.wait_said("court", "connected")
    fed.programs["court"].kill()
    atoll("coordinator", "call", "train", fed.folder, *TRAIN)
    said = fed.call("release", "--at-least", "2", "--within", "40")
    assert "release 1 of clinic" in said
    assert ("court", next(iter(fed.state().open))[1]) in fed.state().open, "it is still asked, should it come back"


@pytest.mark.suite
def test_slow_node_delays_nobody(make: Callable[..., Federation]) -> None:
    fed = make()
    fed.start("coordinator", "clinic", "court")
    fed.wait_said("clinic", "connected")
    with slowed(fed, "court"):
        atoll("coordinator", "call", "train", fed.folder, *TRAIN, "training.steps=300", "training.patience=0")
        said = fed.call("release", "--at-least", "1")
        assert "release 1 of clinic" in said
        assert [owner for owner, _ in fed.state().open] == ["court"]
    wait("the slow one's expert", lambda: len(fed.state().experts) == 2, 200)


@pytest.mark.suite
def test_damaged_package_is_fetched_again(make: Callable[..., Federation]) -> None:
    fed = make()
    fed.start("coordinator", "clinic", "court")
    fed.train()
    before = fed.state()
    blob = next(iter(before.experts.values())).accepted.blob
    path = fed.folder / "packages" / blob.removeprefix("sha256:")
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    assert "release 1 of clinic, court" in fed.call("release", "--at-least", "2")
    assert len(fed.state().experts) == 2
    assert fed.state().bytes_from == before.bytes_from


@pytest.mark.suite
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount small file systems")
@pytest.mark.parametrize("full", ["coordinator", "clinic"])
def test_full_disk_stops_until_there_is_space(make: Callable[..., Federation], full: str, tmp_path: Path) -> None:
    fed = make("clinic")
    fed.large(LARGE)
    place = fed.folder / "packages" if full == "coordinator" else fed.node("clinic") / "outgoing"
    place.mkdir(exist_ok=True)
    with small_disk(place, "2m") as grow:
        fed.start("coordinator", "clinic")
        _called(fed, WHOLE)
        fed.wait_said(full, "No space left" if full == "coordinator" else "disk-full", 200)
        assert not fed.state().experts
        assert all(program.alive for program in fed.programs.values())
        grow("200m")
        wait("the expert", lambda: fed.state().experts, 200)
        wait("it is counted once", lambda: fed.state().bytes_from)
        fed.stop()


@pytest.mark.suite
@pytest.mark.parametrize("seconds", [3600, -3600])
def test_clock_an_hour_off(make: Callable[..., Federation], seconds: int, tmp_path: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no C compiler, which makes the library that shifts a program's clock")
    library = tmp_path / "clock.so"
    source = Path(__file__).parent / "shifted_clock.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    fed = make("clinic")
    fed.start("coordinator")
    fed.wait_said("coordinator", "listening")
    fed.start("clinic", LD_PRELOAD=str(library), SHIFT=str(seconds))
    fed.train()
    assert len(fed.state().experts) == 1
    assert "s off the coordinator" in fed.said("clinic")


def _received(fed: Federation) -> int:
    """Bytes of experts that are on the coordinator's disk."""
    return sum(path.stat().st_size for path in (fed.folder / "packages").iterdir() if ".partial" not in path.name)


def _step(checkpoint: Path) -> int:
    import torch

    return int(torch.load(checkpoint, weights_only=True)["progress"]["step"])


@contextmanager
def slowed(fed: Federation, owner: str) -> Iterator[None]:
    """Let a node's processes run a tenth of the time."""
    import threading

    done = threading.Event()

    def hold() -> None:
        while not done.is_set():
            for number, seconds in ((signal.SIGSTOP, 0.9), (signal.SIGCONT, 0.1)):
                for pid in [*processes(str(fed.node(owner)))]:
                    try:
                        os.kill(pid, number)
                    except ProcessLookupError:
                        continue
                done.wait(seconds)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        for pid in processes(str(fed.node(owner))):
            os.kill(pid, signal.SIGCONT)


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[Callable[[str], None]]:
    """A file system of its own, which can be made larger."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "atoll-test", place], check=False)
    if mounted.returncode:
        pytest.skip("this machine does not let a small file system be mounted")

    def grow(more: str) -> None:
        subprocess.run(["mount", "-o", f"remount,size={more}", place], check=True)

    try:
        yield grow
    finally:
        subprocess.run(["umount", "-l", place], check=True)
