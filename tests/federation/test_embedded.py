"""The engine over real worker processes."""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flwr.app import ConfigRecord, Message, MessageType, RecordDict

from atoll.errors import FederationError
from atoll.federation.embedded import EmbeddedGrid, SiloProcess, Traffic
from atoll.federation.progress import Progress
from atoll.federation.wire import encode

HERE = Path(__file__).parent
NAMES = ("clinic", "court", "yard")
Make = Callable[..., EmbeddedGrid]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Grids over three silos, closed at the end."""
    grids: list[EmbeddedGrid] = []

    def build(**options: Any) -> EmbeddedGrid:
        grids.append(EmbeddedGrid(silos(tmp_path), client_app="toy_client:app", **options))
        return grids[-1]

    yield build
    for grid in grids:
        grid.close()


def silos(root: Path) -> list[SiloProcess]:
    made = []
    for name in NAMES:
        data = root / "data" / name
        data.mkdir(parents=True, exist_ok=True)
        (data / "notes.txt").write_text(f"what {name} knows")
        folder = root / "silos" / name
        folder.mkdir(parents=True, exist_ok=True)
        paths = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
        where = {"folder": str(folder)}
        made.append(SiloProcess(name, folder, where, {"PYTHONPATH": paths}, private=(data,)))
    return made


def node(grid: EmbeddedGrid, name: str) -> int:
    (found,) = [number for number in grid.get_node_ids() if grid.name_of(number) == name]
    return found


def ask(grid: EmbeddedGrid, name: str, what: str, value: str = "") -> Message:
    content = RecordDict({"do": ConfigRecord({"what": what, "value": value})})
    return grid.create_message(content, MessageType.QUERY, node(grid, name), "")


def answers(grid: EmbeddedGrid, *messages: Message, timeout: float = 60) -> dict[str, Message]:
    replies = grid.send_and_receive(messages, timeout=timeout)
    return {grid.name_of(reply.metadata.src_node_id): reply for reply in replies}


def reason(reply: Message) -> str:
    assert reply.has_error()
    return reply.error.reason or ""


def said(reply: Message) -> dict[str, Any]:
    assert not reply.has_error(), reply.error.reason
    return dict(reply.content.config_records["said"])


def test_every_message_gets_its_reply_from_a_process_of_its_own(make: Make, tmp_path: Path) -> None:
    grid = make(threads=3)
    messages = [ask(grid, name, "echo", "hello") for name in NAMES]
    found = answers(grid, *messages)
    assert sorted(found) == sorted(NAMES)
    assert len({said(reply)["pid"] for reply in found.values()} | {os.getpid()}) == 4
    for name, reply in found.items():
        assert said(reply)["folder"] == str(tmp_path / "silos" / name)
        assert said(reply)["threads"] == "3"
        asked = next(message for message in messages if message.metadata.dst_node_id == node(grid, name))
        assert reply.metadata.reply_to_message_id == asked.metadata.message_id
    again = answers(grid, ask(grid, "court", "echo"))
    assert said(again["court"])["pid"] == said(found["court"])["pid"]
    assert make().get_node_ids() == grid.get_node_ids()


def test_pushing_does_not_wait_and_each_reply_is_given_out_once(make: Make) -> None:
    grid = make()
    identifiers = list(grid.push_messages([ask(grid, "clinic", "work"), ask(grid, "court", "echo")]))
    found: list[Message] = []
    end = time.monotonic() + 60
    while len(found) < 2 and time.monotonic() < end:
        found += grid.pull_messages(identifiers)
        time.sleep(0.02)
    assert {reply.metadata.reply_to_message_id for reply in found} == set(identifiers)
    assert grid.pull_messages(identifiers) == []
    with pytest.raises(FederationError, match="no node 7"):
        grid.push_messages([grid.create_message(RecordDict(), MessageType.QUERY, 7, "")])


@pytest.mark.parametrize(
    ("what", "value", "told"),
    [
        ("die", "", "its worker died (signal 9)"),
        ("exit", "", "its worker died (exit code 3)"),
        ("raise", "the notes", "cannot read the notes"),
        ("crash", "", "ZeroDivisionError: one by nought"),
    ],
)
def test_a_silo_that_fails_is_an_error_and_the_others_answer(make: Make, what: str, value: str, told: str) -> None:
    grid = make()
    found = answers(grid, ask(grid, "clinic", "echo"), ask(grid, "court", what, value), ask(grid, "yard", "work"))
    assert told in reason(found["court"])
    assert said(found["clinic"])
    assert said(found["yard"])
    # The next message finds the silo at work again.
    assert said(answers(grid, ask(grid, "court", "echo"))["court"])


def test_a_silo_that_dies_again_and_again_is_given_up(make: Make) -> None:
    grid = make()
    for _ in range(3):
        assert "signal 9" in reason(answers(grid, ask(grid, "yard", "die"))["yard"])
    assert "3 times" in reason(answers(grid, ask(grid, "yard", "echo"))["yard"])


def test_what_a_client_prints_is_not_taken_for_a_reply(make: Make, tmp_path: Path) -> None:
    grid = make()
    assert said(answers(grid, ask(grid, "clinic", "rubbish"))["clinic"])
    grid.close()
    assert "noise on the output" in (tmp_path / "silos" / "clinic" / "worker.log").read_text()


def test_a_worker_that_does_not_start_is_an_error(tmp_path: Path) -> None:
    with EmbeddedGrid(silos(tmp_path), client_app="not_there:app") as grid:
        assert "not_there" in reason(answers(grid, ask(grid, "clinic", "echo"))["clinic"])


def test_no_process_stays_behind(make: Make) -> None:
    grid = make()
    pids = [said(reply)["pid"] for reply in answers(grid, *(ask(grid, name, "echo") for name in NAMES)).values()]
    grid.push_messages([ask(grid, "clinic", "work")])
    grid.close()
    assert not [pid for pid in pids if alive(pid)]


def test_workers_end_when_the_engine_is_killed(tmp_path: Path) -> None:
    code = f"""
import sys, time
from pathlib import Path
sys.path.insert(0, {str(HERE)!r})
from test_embedded import answers, ask, make, said, silos, NAMES
from atoll.federation.embedded import EmbeddedGrid
grid = EmbeddedGrid(silos(Path({str(tmp_path)!r})), client_app="toy_client:app")
print(*(said(r)["pid"] for r in answers(grid, *(ask(grid, n, "echo") for n in NAMES)).values()), flush=True)
time.sleep(600)
"""
    engine = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert engine.stdout is not None
    pids = [int(pid) for pid in engine.stdout.readline().split()]
    assert len(pids) == 3
    engine.send_signal(signal.SIGKILL)
    engine.wait()
    engine.stdout.close()
    end = time.monotonic() + 30
    while any(map(alive, pids)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not [pid for pid in pids if alive(pid)]


def test_a_worker_opens_its_own_files_and_no_other_silo_s(make: Make, tmp_path: Path) -> None:
    grid = make()
    own, other = tmp_path / "data" / "clinic", tmp_path / "data" / "court"
    assert said(answers(grid, ask(grid, "clinic", "read", str(own / "notes.txt")))["clinic"])["read"]
    assert said(answers(grid, ask(grid, "clinic", "list", str(tmp_path / "silos" / "clinic")))["clinic"])["read"]
    link = own / "link.txt"
    link.symlink_to(other / "notes.txt")
    for what, path in [
        ("read", other / "notes.txt"),
        ("read", own / ".." / "court" / "notes.txt"),
        ("read", link),
        ("list", other),
        ("list", tmp_path / "silos" / "yard"),
    ]:
        found = said(answers(grid, ask(grid, "clinic", what, str(path)))["clinic"])
        assert "read" not in found
        assert "belongs to another silo" in found["refused"]


def test_traffic_is_what_crossed(make: Make) -> None:
    heard: list[Traffic] = []
    grid = make(on_traffic=heard.append)
    message = ask(grid, "clinic", "echo", "x" * 5000)
    reply = answers(grid, message)["clinic"]
    assert grid.traffic == heard
    sent, came = heard
    assert (sent.silo, sent.direction, sent.message_type) == ("clinic", "in", "query")
    assert (came.silo, came.direction, came.message_type) == ("clinic", "out", "query")
    assert sent.bytes == len(encode(message)) > 5000
    assert 0 < came.bytes < 2000
    assert not reply.has_error()


def test_progress_is_passed_on(make: Make) -> None:
    heard: list[tuple[str, Progress]] = []
    grid = make(on_progress=lambda silo, progress: heard.append((silo, progress)))
    answers(grid, ask(grid, "yard", "work"))
    assert heard == [("yard", Progress(step, 3, "working", "train")) for step in (1, 2, 3)]


def test_no_more_silos_work_at_once_than_allowed(make: Make) -> None:
    grid = make(parallel=1)
    found = answers(grid, *(ask(grid, name, "work") for name in NAMES))
    spans = sorted((said(reply)["began"], said(reply)["ended"]) for reply in found.values())
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))


def test_a_deadline_gives_what_has_arrived(make: Make) -> None:
    grid = make(parallel=3)
    answers(grid, *(ask(grid, name, "echo") for name in NAMES))
    found = answers(grid, ask(grid, "clinic", "echo"), ask(grid, "court", "sleep", "30"), timeout=10)
    assert sorted(found) == ["clinic"]


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
