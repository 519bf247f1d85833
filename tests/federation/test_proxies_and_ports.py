"""Proxies, ports and processes: which a connection goes by, why one cannot be had, why one ended."""

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from atoll.errors import MachineError
from atoll.federation.exit_reason import tail, why_it_ended
from atoll.federation.listening import PARENT, expect_listening
from atoll.federation.proxies import (
    bypass_loopback,
    is_loopback,
    leave_proxies,
    proxy_for,
    shown_proxy,
    without_proxies,
)

PROXY = "http://user:pa%40ss@proxy.example:3128"


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("address", "environment", "expected"),
    [
        ("far.example:9443", {}, None),
        ("far.example:9443", {"https_proxy": PROXY}, PROXY),
        ("far.example:9443", {"HTTPS_PROXY": PROXY}, PROXY),
        ("far.example:9443", {"all_proxy": "socks5://p:1"}, "socks5://p:1"),
        ("far.example:9443", {"https_proxy": "proxy.example:3128"}, "http://proxy.example:3128"),
        ("far.example:9443", {"http_proxy": PROXY}, None),
        ("far.example:9443", {"https_proxy": PROXY, "no_proxy": "example"}, None),
        ("far.example:9443", {"https_proxy": PROXY, "no_proxy": "other.example, far.example:9443"}, None),
        ("far.example:9443", {"https_proxy": PROXY, "no_proxy": "*"}, None),
        ("10.2.3.4:9443", {"https_proxy": PROXY, "no_proxy": "10.0.0.0/8"}, None),
        ("11.2.3.4:9443", {"https_proxy": PROXY, "no_proxy": "10.0.0.0/8"}, PROXY),
        ("[2001:db8::7]:9443", {"https_proxy": PROXY}, PROXY),
        ("[2001:db8::7]:9443", {"https_proxy": PROXY, "no_proxy": "2001:db8::/32"}, None),
        ("localhost:9443", {"https_proxy": PROXY}, None),
        ("127.0.0.2:9443", {"https_proxy": PROXY}, None),
        ("[::1]:9443", {"https_proxy": PROXY}, None),
        ("[::ffff:127.0.0.1]:9443", {"all_proxy": PROXY}, None),
    ],
)
def test_the_proxy_that_an_address_goes_by(
    address: str, environment: dict[str, str], expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(address) == expected


def test_a_proxy_is_shown_without_what_is_secret() -> None:
    assert shown_proxy(PROXY) == "http://proxy.example:3128"
    assert shown_proxy("socks5h://u@[::1]:1080") == "socks5h://[::1]:1080"


@pytest.mark.parametrize(
    ("host", "own"),
    [
        *((own, True) for own in ("localhost", "a.LOCALHOST.", "127.1.2.3", "0.0.0.0", "::", "::1")),
        *((other, False) for other in ("localhost.example", "128.0.0.1", "fe80::1%eth0", "")),
    ],
)
def test_which_hosts_are_this_machine(host: str, own: bool) -> None:
    assert is_loopback(host) == own


def test_what_is_left_without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"Https_Proxy": "1", "no_proxy": "2", "no_grpc_proxy": "3", "grpc_proxy": "4", "proxy": "5", "HOME": "6"}
    assert without_proxies(given) == {"proxy": "5", "HOME": "6"}
    monkeypatch.setenv("all_proxy", PROXY)
    leave_proxies()
    assert "all_proxy" not in os.environ


@pytest.mark.parametrize("given", ["", "a.example", "127.0.0.1,a.example", "*"])
def test_loopback_is_added_once_to_what_goes_by_no_proxy(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", given)
    bypass_loopback()
    bypass_loopback()
    found = os.environ["no_proxy"].split(",")
    assert len(found) == len(set(found))
    assert found == ["*"] or {"localhost", "127.0.0.1", "::1", *filter(None, given.split(","))} == set(found)


def test_a_free_port_is_had_and_a_taken_one_names_its_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        with pytest.raises(
            MachineError, match=rf"the test cannot listen on 127\.0\.0\.1:{port}.*process {os.getpid()}"
        ):
            expect_listening("127.0.0.1", port, "the test")
    expect_listening("127.0.0.1", port, "the test")


def test_a_port_that_lately_ended_connections_held_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            held.accept()[0].close()  # this side closes first, and waits
    expect_listening("127.0.0.1", port, "the test")


def test_an_orphan_of_ours_is_waited_for() -> None:
    parent = subprocess.Popen([sys.executable, "-c", ""])
    parent.wait()
    program = (
        "import socket, sys; held = socket.create_server(('127.0.0.1', 0)); "
        "print(held.getsockname()[1], flush=True); sys.stdin.read()"
    )
    orphan = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, PARENT: str(parent.pid)},
    )
    assert orphan.stdout is not None
    port = int(orphan.stdout.readline())
    timer = threading.Timer(0.5, orphan.communicate)
    timer.start()
    expect_listening("127.0.0.1", port, "the test")
    timer.join()
    assert orphan.returncode == 0


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_an_address_that_is_not_this_machines(host: str) -> None:
    with pytest.raises(MachineError, match="no such address"):
        expect_listening(host, 0, "the test")


TRACEBACK = """Traceback (most recent call last):
  File "x.py", line 1, in <module>
    raise error
PermissionError: [Errno 13] Permission denied: '/x'
"""


@pytest.mark.parametrize(
    ("said", "code", "expected"),
    [
        (TRACEBACK, 1, "PermissionError: [Errno 13] Permission denied: '/x'; exit code 1"),
        (TRACEBACK + "Application shutdown complete.\n", 1, "PermissionError: [Errno 13] Permission denied: '/x'"),
        (
            "INFO: a\n\x1b[31mERROR\x1b[0m:    [Errno 98] in use\nINFO: Application shutdown complete.\n",
            1,
            "[Errno 98]",
        ),
        ("", 3, "exit code 3"),
        ("", None, "it said nothing"),
        ("one\ntwo\n", 0, "two"),
        (TRACEBACK, -9, "signal 9"),
        ("x.y.OutOfMemoryError: CUDA out of memory\n", 1, "x.y.OutOfMemoryError: CUDA out of memory"),
    ],
)
def test_why_a_process_ended(said: str, code: int | None, expected: str) -> None:
    assert why_it_ended(said, code).startswith(expected)


def test_the_end_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert tail(log) == ""
    log.write_bytes(b"old\nnew\xff\n")
    assert tail(log, 4) == "new\ufffd\n"
    assert tail(log, 1000) == "old\nnew\ufffd\n"
