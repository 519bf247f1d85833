"""A node says in its folder how it is, and begins a connection anew that has gone silent."""

import json
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.clients.conftest import write_silo
from typer.testing import CliRunner

from atoll.clients.commands import app
from atoll.clients.gate import health as health_module
from atoll.clients.gate import serve as module
from atoll.clients.gate.health import HealthMonitor, read_health
from atoll.clients.gate.serve import Link


def test_a_node_is_ready_while_it_is_heard_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_health(tmp_path) is None
    vitals = HealthMonitor(tmp_path)
    vitals.note()
    health = read_health(tmp_path)
    assert health is not None
    assert not health.ready
    vitals.hear()
    health = read_health(tmp_path)
    assert health is not None
    assert health.ready
    monkeypatch.setattr(health_module, "FRESH", -1.0)
    assert not health.ready, "nobody has written it for a while"
    (tmp_path / "health.json").write_text("{")
    assert read_health(tmp_path) is None


class Alive:
    """A SuperNode that stays up, whatever became of its connection."""

    alive, log = True, "supernode.log"

    def __init__(self) -> None:
        self.stopped = False

    def said(self) -> str:
        return "SuperNode ID: 1"

    def stop(self) -> None:
        self.stopped = True


@pytest.mark.parametrize("fault", ["silence", "401", "anything"])
def test_a_connection_that_dies_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    started: list[Alive] = []
    stop = threading.Event()

    def start(*_: Any, **__: Any) -> Alive:
        started.append(Alive())
        if len(started) == 3:
            stop.set()
        return started[-1]

    def serve(*_: Any, until: Any, **__: Any) -> None:
        if fault == "401":
            request = httpx.Request("POST", "http://x")
            raise httpx.HTTPStatusError("401", request=request, response=httpx.Response(401, request=request))
        if fault == "anything":
            raise RuntimeError("whatever a library raises")
        assert until() or not stop.is_set()

    monkeypatch.setattr(module, "_SILENT", 0.2)
    monkeypatch.setattr(module, "_FIRST", 0.0)
    monkeypatch.setattr(module, "clock_offset", lambda *_: 0.0)
    monkeypatch.setattr(module, "start_supernode", start)
    monkeypatch.setattr(module, "serve_tasks", serve)
    folder = type("F", (), {"root": tmp_path, "node_key": tmp_path / "k", "enrolment": tmp_path / "e"})()
    (tmp_path / "flower").mkdir()
    (tmp_path / "flower" / "secret").write_text("x")
    gate = type("G", (), {"works": type("W", (), {"restarts": 0})()})()
    invited = type("I", (), {"address": "127.0.0.1:1", "ca": ""})()
    Link(folder, invited, gate).run(stop)
    assert len(started) == 3
    assert all(each.stopped for each in started)
    health = read_health(tmp_path)
    assert health is not None
    assert health.reconnects == 2
    assert health.trouble


def test_the_command_says_it_and_exits_by_it(tmp_path: Path, anchor_folder: Path) -> None:
    folder = write_silo(tmp_path / "node", anchor_folder)
    asked = ["health", str(folder), "--json"]
    found = CliRunner().invoke(app, asked)
    assert (found.exit_code, json.loads(found.stdout)) == (8, {"ready": False, "live": False})
    monitor = HealthMonitor(folder)
    monitor.note(trouble="the policy cannot be read")
    assert CliRunner().invoke(app, asked).exit_code == 8
    monitor.hear()
    found = CliRunner().invoke(app, asked)
    assert (found.exit_code, json.loads(found.stdout)["ready"]) == (0, True)
    shown = CliRunner().invoke(app, ["health", str(folder)])
    assert shown.exit_code == 0
    assert "connected:                 yes" in shown.stdout
    assert CliRunner().invoke(app, ["health", str(tmp_path / "elsewhere")]).exit_code != 0
