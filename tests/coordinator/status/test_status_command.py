"""What ``atoll coordinator status`` prints."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from atoll.cli.coordinator_status import show_status
from atoll.coordinator.status.contact import Contact, leave_contact
from atoll.coordinator.status.snapshot import Snapshot
from atoll.coordinator.status.web import Server
from atoll.errors import LedgerError

from .conftest import TOKEN


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "240")


def test_a_running_coordinator_is_asked(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    leave_contact(tmp_path, Contact(url=server.url, token=TOKEN, pid=os.getpid()))
    show_status(tmp_path, ledger=tmp_path / "not needed", as_json=False)
    printed = capsys.readouterr().out
    for said in (
        "Coordinator running since",
        "Nodes alive: 1 of 2; 3 owners admitted, 1 revoked",
        "<script>alert('x')</script>\"'&{{ 7*7 }}",
        "30 of 120",
        "for research, teaching",
    ):
        assert said in printed
    assert not [each for each in printed if each in "\x1b\u202e"]


def test_otherwise_the_ledger_is_read(ledger_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_status(tmp_path, ledger=ledger_path, as_json=False)
    printed = capsys.readouterr().out
    assert printed.startswith("The coordinator is not running; this is what the ledger says.")
    assert "Nodes alive: unknown" in printed
    assert "Coordinator not running" in printed


def test_for_machines(ledger_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_status(tmp_path, ledger=str(ledger_path), as_json=True)
    printed = capsys.readouterr()
    assert Snapshot.from_json(printed.out).started is None
    assert json.loads(printed.out)["owners"][0]["node"] == "unknown"
    assert "not running" in printed.err


def test_one_that_does_not_answer_is_said(
    ledger_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    leave_contact(tmp_path, Contact(url="http://127.0.0.1:9/", token=TOKEN, pid=os.getpid()))
    show_status(tmp_path, ledger=ledger_path, as_json=False)
    assert "The coordinator cannot be asked (http://127.0.0.1:9/ does not answer" in capsys.readouterr().out


def test_neither(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="there is no such ledger"):
        show_status(tmp_path, ledger=tmp_path / "ledger.db", as_json=False)


def test_it_is_not_loaded_before_it_is_needed() -> None:
    code = "import sys, atoll.cli.coordinator_status; print([n for n in sys.modules if n in ('fastapi', 'sqlalchemy')])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
