"""What is the simulation engine's own; what it shares with the others is in the engines' contract."""

import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flwr.app import ConfigRecord, Message, MessageType, RecordDict

from atoll.errors import FederationError
from atoll.federation.embedded import SiloProcess, Traffic
from atoll.federation.simulation import SimulationGrid

HERE = Path(__file__).parent
NAMES = ("clinic", "court", "yard")
Opened = tuple[SimulationGrid, Path, list[Traffic]]
needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed: pip install 'atoll[simulation]'"
)


@pytest.fixture(scope="class")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """A grid over three silos of ``toy_client``, their folder, and what crossed."""
    root, heard = tmp_path_factory.mktemp("silos"), list[Traffic]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(HERE))
        with SimulationGrid(silos(root), client_app="toy_client:app", threads=3, on_traffic=heard.append) as grid:
            yield grid, root, heard


def silos(root: Path) -> list[SiloProcess]:
    return [SiloProcess(name, root / name, {"folder": str(root / name)}) for name in NAMES]


def ask(grid: SimulationGrid, name: str, what: str, value: str = "") -> Message:
    (node,) = [number for number in grid.get_node_ids() if grid.name_of(number) == name]
    content = RecordDict({"do": ConfigRecord({"what": what, "value": value})})
    return grid.create_message(content, MessageType.QUERY, node, "")


def answers(grid: SimulationGrid, *messages: Message) -> dict[str, Message]:
    return {grid.name_of(reply.metadata.src_node_id): reply for reply in grid.send_and_receive(messages, timeout=120)}


def said(reply: Message) -> dict[str, Any]:
    assert not reply.has_error(), reply.error.reason
    return dict(reply.content.config_records["said"])


@needs_ray
class TestSilosAtWork:
    def test_each_silo_has_its_own_folder_and_log_in_a_process_that_others_use(self, opened: Opened) -> None:
        grid, root, _ = opened
        found = answers(grid, *(ask(grid, name, "rubbish") for name in NAMES))
        assert {name: said(reply)["folder"] for name, reply in found.items()} == {n: str(root / n) for n in NAMES}
        assert {said(reply)["threads"] for reply in found.values()} == {"3"}
        assert os.getpid() not in {said(reply)["pid"] for reply in found.values()}
        for name in NAMES:
            assert (root / name / "worker.log").read_text().count("noise on the output") == 1

    def test_errors_are_told_as_the_embedded_engine_tells_them(self, opened: Opened) -> None:
        grid, root, _ = opened
        found = answers(grid, ask(grid, "clinic", "raise", "the notes"), ask(grid, "yard", "crash"))
        assert found["clinic"].error.reason == "cannot read the notes"
        assert found["yard"].error.reason == "ZeroDivisionError: one by nought"
        assert "Traceback" in (root / "yard" / "worker.log").read_text()
        with pytest.raises(FederationError, match="no node 7"):
            grid.push_messages([grid.create_message(RecordDict(), MessageType.QUERY, 7, "")])

    def test_traffic_is_the_messages_as_protobuf(self, opened: Opened) -> None:
        grid, _, heard = opened
        before = len(heard)
        assert said(answers(grid, ask(grid, "court", "echo", "x" * 5000))["court"])["size"] == 5000
        sent, came = heard[before:]
        assert (sent.silo, sent.direction, sent.message_type) == ("court", "in", "query")
        assert (came.silo, came.direction, came.message_type) == ("court", "out", "query")
        assert 5000 < sent.bytes < 7000
        assert 0 < came.bytes < 2000

    def test_a_silo_whose_process_dies_is_an_error_and_nobody_else_suffers(self, opened: Opened) -> None:
        grid, root, _ = opened
        found = answers(grid, ask(grid, "court", "die"))
        assert found["court"].error.reason == f"its worker died; see {root / 'court' / 'worker.log'}"
        for _ in range(2):
            again = answers(grid, *(ask(grid, name, "echo") for name in NAMES))
            assert all(map(said, again.values()))


@needs_ray
@pytest.mark.slow
def test_closing_ends_work_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    scratch = tempfile.mkdtemp(dir="/tmp")
    monkeypatch.setattr(tempfile, "mkdtemp", lambda **where: scratch)
    pytest.importorskip("ray")  # it marks the environment when it is imported
    environment, handler = dict(os.environ), signal.getsignal(signal.SIGTERM)
    with SimulationGrid(silos(tmp_path), client_app="toy_client:app", parallel=1) as grid:
        pid = said(answers(grid, ask(grid, "yard", "echo"))["yard"])["pid"]
        grid.push_messages([ask(grid, "clinic", "sleep", "600"), ask(grid, "court", "sleep", "600")])
        time.sleep(1)
        began = time.monotonic()
    assert time.monotonic() - began < 25
    assert not Path(f"/proc/{pid}").exists()
    assert not Path(scratch).exists()
    assert (dict(os.environ), signal.getsignal(signal.SIGTERM)) == (environment, handler)


@needs_ray
@pytest.mark.slow
def test_processes_end_when_the_engine_is_killed(tmp_path: Path) -> None:
    code = f"""
import sys, time
from pathlib import Path
from flwr.app import ConfigRecord, RecordDict
from atoll.federation.embedded import SiloProcess
from atoll.federation.simulation import SimulationGrid
silos = [SiloProcess("yard", Path({str(tmp_path)!r}) / "yard", {{"folder": "yard"}})]
with SimulationGrid(silos, client_app="toy_client:app", parallel=1) as grid:
    content = RecordDict({{"do": ConfigRecord({{"what": "echo"}})}})
    (reply,) = grid.send_and_receive([grid.create_message(content, "query", grid.get_node_ids()[0], "")])
    print(reply.content["said"]["pid"], flush=True)
    time.sleep(600)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])}
    engine = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
    assert engine.stdout is not None
    pid = int(engine.stdout.readline())
    engine.kill()
    engine.wait()
    engine.stdout.close()
    end = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists() and time.monotonic() < end:
        time.sleep(0.1)
    assert not Path(f"/proc/{pid}").exists()


@needs_ray
def test_what_ends_flowers_runtime_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: SimulationGrid) -> None:
        raise OSError("no room")

    monkeypatch.setattr(SimulationGrid, "_make_backend", broken)
    with (
        SimulationGrid(silos(tmp_path), client_app="toy_client:app", parallel=1) as grid,
        pytest.raises(FederationError, match="Flower's simulation ended"),
    ):
        grid.send_and_receive([ask(grid, "yard", "echo")])


def test_without_ray_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FederationError, match=r"pip install 'atoll\[simulation\]'"):
        SimulationGrid(silos(tmp_path), client_app="toy_client:app").__enter__()


def test_silos_cannot_have_variables_of_their_own(tmp_path: Path) -> None:
    silo = SiloProcess("yard", tmp_path, {}, {"TOKEN": "1"})
    with pytest.raises(FederationError, match=r"'yard' has environment variables of its own \(TOKEN\)"):
        SimulationGrid([silo], client_app="toy_client:app")
