import socket
import threading
import time
from pathlib import Path

import pytest
from fastapi import FastAPI

from atoll.coordinator.status.snapshot import Snapshot
from atoll.coordinator.status.web import Server, create_status_app, serve
from atoll.errors import AtollError, ConfigError, LedgerError, MachineError

from .conftest import TOKEN, Asker

PATHS = ("/", "/status.json", "/metrics", "/docs", "/openapi.json", "/nothing")


def none_yet() -> Snapshot:
    raise LedgerError("ledger: event 3 was changed after it was written")


@pytest.mark.parametrize("path", PATHS)
def test_without_a_token_nothing_is_told(stranger: Asker, path: str) -> None:
    answer = stranger(path)
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert "clinic" not in answer.text
    assert "not the token" not in answer.text


@pytest.mark.parametrize("shown", ["Bearer wrong", "Bearer ", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer \u00e9"])
def test_a_wrong_token_gives_401_and_says_so(server: Server, shown: str) -> None:
    answer = Asker(server.url, {"Authorization": shown})("/")
    assert answer.status == 401
    assert ("That is not the token" in answer.text) == shown.startswith("Bearer")


def test_with_the_token_everything_is_read(friend: Asker) -> None:
    page, values = friend("/"), friend("/status.json")
    assert (page.status, values.status) == (200, 200)
    assert "clinic" in page.text
    assert Snapshot.from_json(values.text).owners[1].owner == "clinic"
    assert values.headers["Content-Type"] == "application/json"
    assert [friend(path).status for path in ("/docs", "/redoc", "/openapi.json")] == [404, 404, 404]


@pytest.mark.parametrize("path", ["/", "/status.json", "/metrics", "/health"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_written(friend: Asker, path: str, method: str) -> None:
    assert friend(path, method, "x=1").status == 405


def test_health_is_for_everyone(stranger: Asker) -> None:
    assert (stranger("/health").status, stranger("/health").text) == (200, "ok")


def test_every_answer_forbids_what_is_not_needed(friend: Asker, stranger: Asker) -> None:
    for answer in (friend("/"), stranger("/"), stranger("/health"), stranger("/login"), friend("/nothing")):
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "Server" not in answer.headers


def test_logging_in_gives_a_cookie_that_is_not_the_token(server: Server, stranger: Asker) -> None:
    answer = stranger("/login", "POST", f"token={TOKEN.replace(' ', '+')}")
    assert (answer.status, answer.headers["Location"]) == (303, "./")
    cookie, _, attributes = answer.headers["Set-Cookie"].partition("; ")
    assert {part.lower() for part in attributes.split("; ")} == {"httponly", "path=/", "samesite=strict"}
    assert TOKEN.split()[-1] not in cookie
    assert Asker(server.url, {"Cookie": cookie})("/").status == 200
    assert Asker(server.url, {"Cookie": f"{cookie}0"})("/").status == 401
    assert Asker(server.url, {"Authorization": f"Bearer {cookie.partition('=')[2]}"})("/").status == 401


def test_logging_out_takes_the_cookie_away(stranger: Asker) -> None:
    answer = stranger("/logout", "POST")
    assert (answer.status, answer.headers["Location"]) == (303, "./login")
    assert "Max-Age=0" in answer.headers["Set-Cookie"]


@pytest.mark.parametrize("body", ["token=wrong", "", "token=", f"token={'x' * 100_000}"])
def test_a_wrong_login(stranger: Asker, body: str) -> None:
    answer = stranger("/login", "POST", body)
    assert answer.status == 401
    assert "That is not the token" in answer.text
    assert "Set-Cookie" not in answer.headers


def test_wrong_tries_are_slowed_down_and_nobody_is_locked_out(stranger: Asker, friend: Asker) -> None:
    began = time.monotonic()
    for _ in range(3):
        assert stranger("/login", "POST", "token=wrong").status == 401
    quick = time.monotonic() - began
    began = time.monotonic()
    for _ in range(2):
        assert stranger("/login", "POST", "token=wrong").status == 401
    assert time.monotonic() - began >= 0.75 > quick
    assert friend("/health").text == "ok"
    assert friend("/status.json").status == 200
    assert stranger("/login", "POST", f"token={TOKEN.replace(' ', '+')}").status == 303


@pytest.mark.parametrize("token", ["", "short"])
def test_a_token_that_can_be_guessed_is_refused(token: str) -> None:
    with pytest.raises(ConfigError, match="needs 16 or more"):
        create_status_app(none_yet, token)


def test_a_ledger_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    running = serve(create_status_app(none_yet, TOKEN), "127.0.0.1", 0)
    try:
        answer = Asker(running.url, {"Authorization": f"Bearer {TOKEN}"})("/")
    finally:
        running.stop()
    assert (answer.status, answer.text) == (503, "ledger: event 3 was changed after it was written")


def test_a_port_that_is_taken(server: Server) -> None:
    port = int(server.url.rstrip("/").rpartition(":")[2])
    with pytest.raises(MachineError, match=rf"127\.0\.0\.1:{port}.*choose another"):
        serve(FastAPI(), "127.0.0.1", port)


@pytest.mark.parametrize(
    ("host", "port", "error"), [("no such host.", 0, MachineError), ("127.0.0.1", 70_000, ConfigError)]
)
def test_an_address_that_is_none(host: str, port: int, error: type[AtollError]) -> None:
    with pytest.raises(error, match="the status cannot listen on"):
        serve(FastAPI(), host, port)


def test_stopping_lets_go_of_the_port() -> None:
    running = serve(create_status_app(none_yet, TOKEN), "127.0.0.1", 0)
    port = int(running.url.rstrip("/").rpartition(":")[2])
    running.stop()
    assert "atoll-status" not in {thread.name for thread in threading.enumerate()}
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_a_certificate_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "none.pem").write_text("no certificate")
    for path in (tmp_path / "none.pem", tmp_path / "missing.pem"):
        with pytest.raises(ConfigError, match=f"{path}: HTTPS is not possible"):
            serve(FastAPI(), "127.0.0.1", 0, certfile=path)


def test_over_https_the_cookie_stays_there(certificate: Path) -> None:
    running = serve(create_status_app(none_yet, TOKEN), "127.0.0.1", 0, certfile=certificate)
    try:
        answer = Asker(running.url)("/login", "POST", f"token={TOKEN.replace(' ', '+')}")
    finally:
        running.stop()
    assert running.url.startswith("https://")
    assert "; Secure" in answer.headers["Set-Cookie"]
