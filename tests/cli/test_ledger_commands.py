"""``atoll ledger``: what a person and a program read from it."""

import json
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.signed_facts import accepted, admitted, statement
from typer.testing import CliRunner

from atoll.cli.ledger import app
from atoll.errors import ConfigError, LedgerError
from atoll.ledger import Ledger, OwnerRevoked, Released, StatementHeard

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.db"
    experts = [accepted(owner, purposes=["research"], until="2027-01-01") for owner in ("bank", "clinic")]
    members = [expert.expert for expert in experts]
    with Ledger.open(path) as ledger:
        for expert in experts:
            ledger.record(admitted(expert.owner, domain=f"[bold]{expert.owner}[/bold]"), NOON)
            ledger.record(expert, NOON)
        ledger.record(Released(number=1, digest="sha256:r", guarantee="exact", members=members), NOON)
        ledger.record(
            StatementHeard(document=statement("bank", 1, words="no more").to_line()), NOON + timedelta(hours=1)
        )
        ledger.record(OwnerRevoked(owner="bank", reason="left"), NOON + timedelta(hours=2))
    return path


def run(*arguments: str | Path) -> str:
    found = CliRunner().invoke(app, [str(each) for each in arguments], env={"COLUMNS": "160"})
    if found.exception is not None:
        raise found.exception
    return found.output


def test_show_says_who_permits_what(path: Path) -> None:
    shown = run("show", path)
    assert "[bold]bank[/bold]" in shown
    assert "revoked: left" in shown
    assert "withdrawn" in shown
    assert "restricted: for research, until 2027-01-01" in shown
    assert "bank, clinic" in shown


def test_show_an_owner_says_which_releases_and_until_when(path: Path) -> None:
    assert "from 2026-06-01 12:00:00 UTC, until 2026-06-01 13:00:00 UTC" in run("show", path, "--owner", "bank")
    found = json.loads(run("show", path, "--owner", "clinic", "--json"))
    assert found["releases"] == [
        {
            "number": 1,
            "digest": "sha256:r",
            "usable": [{"from": NOON.isoformat(), "until": "2027-01-02T00:00:00+00:00"}],
        }
    ]
    with pytest.raises(LedgerError, match="'library' was never admitted; there are bank, clinic"):
        run("show", path, "--owner", "library")


def test_show_for_machines_has_it_all(path: Path) -> None:
    found = json.loads(run("show", path, "--json"))
    assert [owner["revoked"] for owner in found["owners"]] == ["left", None]
    assert [expert["consent"] for expert in found["experts"]] == ["withdrawn", "restricted"]
    assert found["releases"][0]["owners"] == ["bank", "clinic"]
    assert (found["events"], found["open"]) == (8, [])


def test_a_noted_head_is_asked_for_again(path: Path) -> None:
    said = run("verify", path)
    head = said.split("head ")[1].strip()
    assert "verified: 8 events" in said
    assert run("verify", path, "--head", head) == said
    with pytest.raises(LedgerError, match="is not in this history"):
        run("verify", path, "--head", f"7:sha256:{'0' * 64}")
    with pytest.raises(ConfigError, match="--head is 'x'"):
        run("verify", path, "--head", "x")


@pytest.mark.slow
def test_a_tampered_ledger_exits_with_its_code_and_one_line(path: Path) -> None:
    with sqlite3.connect(path) as raw:
        raw.execute("DROP TRIGGER append_only_update")
        raw.execute("UPDATE events SET body = replace(body, 'no more', 'go on') WHERE sequence = 7")
    command = [sys.executable, "-m", "atoll.cli.app", "ledger", "verify", str(path)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == LedgerError.exit_code
    assert found.stderr.strip() == "error: ledger: event 7 (statement-heard) was changed after it was written"
