"""Real processes on a machine whose port is taken, or whose environment names proxies."""

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.deployment.federation import Federation, atoll, free_port, wait

from atoll.errors import FederationError, MachineError
from atoll.federation.certificates import make_certificates, make_node_key
from atoll.federation.flower.run import Control, wait_until_up
from atoll.federation.flower.superlink import secret_file, start_superlink


def reaches_itself(fed: Federation, proxy: str) -> None:
    names = ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy", "HTTPS_PROXY", "ALL_PROXY")
    fed.start("coordinator", "clinic", **dict.fromkeys(names, proxy))
    fed.wait_said("clinic", "connected to the coordinator", 60)
    assert "proxy" not in fed.said("clinic") + fed.said("coordinator")
    assert "secret" not in fed.said("clinic")


@pytest.mark.slow
def test_a_taken_port_ends_a_coordinator_with_the_reason_and_loopback_goes_by_no_proxy(
    make: Callable[..., Federation],
) -> None:
    fed = make("clinic")
    with socket.create_server(("127.0.0.1", fed.port)):
        said = atoll("coordinator", "up", fed.folder, code=MachineError.exit_code)
    assert re.search(rf"127\.0\.0\.1:{fed.port}: '.*' \(process \d+, .*\) has this port", said)
    assert "Traceback" not in said
    reaches_itself(fed, "http://user:secret@127.0.0.1:1")


@pytest.mark.suite
@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "no url at all"], ids=["socks", "nonsense"])
def test_this_machine_is_never_reached_by_a_proxy(make: Callable[..., Federation], proxy: str) -> None:
    reaches_itself(make("clinic"), proxy)


@contextlib.contextmanager
def connecting_proxy() -> Iterator[tuple[int, list[str]]]:
    """A proxy that takes every name for this machine; its port, and what was asked of it."""
    asked: list[str] = []

    def pump(one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while block := one.recv(65536):
                other.sendall(block)
        for each in (one, other):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def serve(client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(4096)
            asked.append(head.split()[1].decode())
            with socket.create_connection(("127.0.0.1", int(asked[-1].rpartition(":")[2]))) as there:
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                back = threading.Thread(target=pump, args=(there, client), daemon=True)
                back.start()
                pump(client, there)
                back.join()

    listening = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listening.getsockname()[1], asked
    finally:
        listening.close()


@pytest.mark.suite
def test_a_node_that_goes_by_a_proxy_says_which(make: Callable[..., Federation]) -> None:
    fed = make("clinic")
    remote(fed)
    with connecting_proxy() as (port, asked):
        fed.start("coordinator")
        fed.start("clinic", https_proxy=f"http://user:secret@127.0.0.1:{port}")
        fed.wait_said("clinic", f"connected to the coordinator at atoll.test:{fed.port} by the proxy", 60)
        fed.programs["clinic"].stop()
    assert set(asked) == {f"atoll.test:{fed.port}"}
    fed.start("clinic", https_proxy=f"http://user:secret@127.0.0.1:{free_port()}")
    wait("the proxy is named", lambda: "no_proxy" in fed.said("clinic"), 30)
    assert f"by the proxy http://127.0.0.1:{port}" in fed.said("clinic")
    assert "secret" not in fed.said("clinic")


def remote(fed: Federation) -> None:
    """Give the coordinator a name that only the proxy knows."""
    import shutil

    config = fed.folder / "coordinator.yaml"
    config.write_text(config.read_text("utf-8").replace("- localhost", "- atoll.test"), encoding="utf-8")
    shutil.rmtree(fed.folder / "tls")
    atoll("coordinator", "init", fed.folder, "--host", "atoll.test")
    shutil.copyfile(fed.folder / "invitation.json", fed.node("clinic") / "invitation.json")


@pytest.mark.slow
def test_a_superlink_keeps_its_state_in_its_folder_whatever_that_is_called(tmp_path: Path) -> None:
    tls, port = make_certificates(tmp_path / "tls", ["127.0.0.1"]), free_port()
    home = tmp_path / "a?b#c%41 [x]" / "flower"
    superlink = start_superlink(home, host="127.0.0.1", port=port, certificate=tls.certificate, key=tls.key, ca=tls.ca)
    try:
        wait_until_up(f"127.0.0.1:{port}", tls.ca, superlink)
        with contextlib.closing(Control(f"127.0.0.1:{port}", tls.ca, secret_file(home))) as control:
            control.admit(make_node_key(tmp_path / "node.key"))
    finally:
        superlink.stop()
    assert (home / "superlink.db").is_file()
    assert {path.name for path in tmp_path.iterdir()} == {"tls", "a?b#c%41 [x]", "node.key"}


@pytest.mark.slow
def test_a_superlink_that_cannot_start_says_why(tmp_path: Path) -> None:
    tls, port = make_certificates(tmp_path / "tls", ["127.0.0.1"]), free_port()
    with socket.create_server(("127.0.0.1", port)):
        home = tmp_path / "flower"
        superlink = start_superlink(
            home, host="127.0.0.1", port=port, certificate=tls.certificate, key=tls.key, ca=tls.ca
        )
        try:
            with pytest.raises(FederationError, match="address already in use"):
                wait_until_up("127.0.0.1:1", tls.ca, superlink)
        finally:
            superlink.stop()
