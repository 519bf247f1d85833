import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from atoll.coordinator.status.contact import Contact, ask, find_contact, leave_contact
from atoll.coordinator.status.snapshot import Snapshot
from atoll.coordinator.status.web import Server, create_status_app, serve
from atoll.errors import DataError, FederationError

from .conftest import TOKEN


def test_only_this_user_can_read_it(tmp_path: Path) -> None:
    contact = Contact(url="http://127.0.0.1:1/", token=TOKEN, pid=os.getpid())
    path = leave_contact(tmp_path, contact)
    assert path == tmp_path / "status.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert find_contact(tmp_path) == contact


def test_none_and_what_a_dead_server_left(tmp_path: Path) -> None:
    assert find_contact(tmp_path) is None
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    leave_contact(tmp_path, Contact(url="http://127.0.0.1:1/", token=TOKEN, pid=dead.pid))
    assert find_contact(tmp_path) is None


def test_the_three_fields_do(tmp_path: Path) -> None:
    (tmp_path / "status.json").write_text(f'{{"url": "http://127.0.0.1:1/", "token": "t", "pid": {os.getpid()}}}')
    assert find_contact(tmp_path) == Contact(url="http://127.0.0.1:1/", token="t", pid=os.getpid())
    (tmp_path / "status.json").write_text("[]")
    with pytest.raises(DataError, match=r"status\.json.*writes it anew"):
        find_contact(tmp_path)


def test_asking(server: Server) -> None:
    found = ask(Contact(url=server.url, token=TOKEN, pid=1))
    assert (found.alive, found.started is not None) == (1, True)


def test_asking_in_vain(server: Server) -> None:
    with pytest.raises(FederationError, match="status 401"):
        ask(Contact(url=server.url, token="wrong", pid=1))
    with pytest.raises(FederationError, match="does not answer as the coordinator does"):
        ask(Contact(url=f"{server.url}health/", token=TOKEN, pid=1))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}/"
    with pytest.raises(FederationError, match="refused"):
        ask(Contact(url=nobody, token=TOKEN, pid=1))


def test_no_proxy_sees_the_token(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1/")
    assert ask(Contact(url=server.url, token=TOKEN, pid=1)).alive == 1


def test_over_https_only_the_very_certificate_is_believed(read: Callable[[], Snapshot], certificate: Path) -> None:
    running = serve(create_status_app(read, TOKEN), "127.0.0.1", 0, certfile=certificate)
    try:
        known = Contact(url=running.url, token=TOKEN, pid=1, certificate=str(certificate))
        assert ask(known).alive == 1
        with pytest.raises(FederationError, match="certificate verify failed"):
            ask(Contact(url=running.url, token=TOKEN, pid=1))
    finally:
        running.stop()
