"""Ledgers to test: SQLite in a folder, PostgreSQL by a server that the tests start themselves."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from tests import signed_facts as signed

from atoll.ledger import ExpertAccepted, Fact, Ledger, OwnerAdmitted


def _programs() -> Path | None:
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    return next((path.parent for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)), None)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a server of this session's own, without a database's name."""
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL's server is not installed (Debian: apt-get install postgresql)")
    pytest.importorskip("psycopg", reason="psycopg is not installed (extra postgres)")
    # Not below pytest's own folder: every session that begins takes that one's permissions back from other users.
    home = Path(tempfile.mkdtemp(prefix="atoll-postgres-"))
    # The server refuses to run as root.
    user = "postgres" if os.geteuid() == 0 else None
    if user:
        shutil.chown(home, user)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = home / "data"

    def call(program: str, *arguments: str | Path) -> None:
        command = [programs / program, "-D", data, *arguments]
        subprocess.run(command, user=user, check=True, capture_output=True, cwd=home)

    call("initdb", "-U", "atoll", "-A", "trust", "-E", "UTF8", "--locale=C")
    options = f"-h 127.0.0.1 -p {port} -k '' -c fsync=off"
    call("pg_ctl", "-w", "-l", home / "log", "-o", options, "start")
    try:
        yield f"postgresql+psycopg://atoll@127.0.0.1:{port}"
    finally:
        call("pg_ctl", "-m", "immediate", "stop")
        shutil.rmtree(home)


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A place where there is no ledger yet."""
    if request.param == "sqlite":
        return str(tmp_path / "ledger.db")
    server = request.getfixturevalue("postgres")
    name = f"ledger_{abs(hash(tmp_path))}"
    engine = create_engine(f"{server}/postgres", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return f"{server}/{name}"


@pytest.fixture
def ledger(where: str) -> Iterator[Ledger]:
    with Ledger.open(where) as made:
        yield made


def admitted(owner: str = "hospital") -> OwnerAdmitted:
    return signed.admitted(owner, domain="letters")


def accepted(
    owner: str = "hospital", expert: str = "e1", purposes: tuple[str, ...] = ("any",), until: str | None = None
) -> ExpertAccepted:
    return signed.accepted(owner, expert, purposes=purposes, until=until)


def digest_of(owner: str = "hospital", expert: str = "e1") -> str:
    """Digest of the expert that :func:`accepted` accepts for any use."""
    return accepted(owner, expert).expert


E1, E2 = digest_of("hospital", "e1"), digest_of("bank", "e2")


def opening(owner: str = "hospital", expert: str = "e1") -> list[Fact]:
    """An owner, and an expert for any use."""
    return [admitted(owner), accepted(owner, expert)]
