"""What can heal, heals by itself: a stranger at the address, a corrupt database, a killed worker; real processes."""

import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.deployment.federation import TRAIN, Federation, atoll, processes, wait

pytestmark = [pytest.mark.suite, pytest.mark.timeout(600)]


@contextmanager
def stranger(folder: Path, port: int) -> Iterator[list[str]]:
    """Another TLS server at an address, with a certificate of its own; yields who came."""
    key, certificate = folder / "stranger.key", folder / "stranger.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    subprocess.run([*made, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listening = socket.create_server(("127.0.0.1", port))
    listening.settimeout(0.2)
    came: list[str] = []
    ended = threading.Event()

    def serve() -> None:
        while not ended.is_set():
            try:
                connection, _ = listening.accept()
            except TimeoutError:
                continue
            came.append("came")
            connection.settimeout(1)
            try:
                context.wrap_socket(connection, server_side=True).close()
            except OSError:
                connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield came
    finally:
        ended.set()
        thread.join()
        listening.close()


def trained(fed: Federation) -> None:
    """Everybody's expert comes, which needs connections and work that is done."""
    fed.train()
    assert len(fed.state().experts) == len(fed.state().owners)


def test_a_node_that_met_a_stranger_at_its_address_comes_back(make: Callable[..., Federation], tmp_path: Path) -> None:
    fed = make("clinic")
    with stranger(tmp_path, fed.port) as came:
        fed.start("clinic")
        wait("the node tries", lambda: came, 60)
        end = time.monotonic() + 35
        while time.monotonic() < end:
            assert fed.programs["clinic"].alive
            time.sleep(1)
        health = json.loads(atoll("node", "health", fed.node("clinic"), "--json", code=8))
        assert (health["live"], health["ready"]) == (True, False)
    fed.start("coordinator")
    trained(fed)
    health = json.loads(atoll("node", "health", fed.node("clinic"), "--json"))
    assert health["ready"]


def test_a_corrupt_database_of_superlink_is_set_aside(make: Callable[..., Federation]) -> None:
    fed = make("clinic")
    fed.start("coordinator", "clinic")
    trained(fed)
    fed.programs["coordinator"].stop()
    database = fed.folder / "flower" / "superlink.db"
    for path in database.parent.glob("superlink.db-*"):
        path.unlink()
    database.write_bytes(b"no database at all" * 1000)
    fed.start("coordinator")
    fed.wait_said("coordinator", "set aside")
    fed.train("training.steps=5")
    assert len(fed.state().experts) == 2
    assert [path for path in database.parent.iterdir() if "corrupt" in path.name]


def test_a_worker_that_the_system_kills_is_started_again_and_its_unit_ends_well(
    make: Callable[..., Federation],
) -> None:
    fed = make("clinic")
    fed.start("coordinator", "clinic")
    steps = "training.steps=4000"
    atoll("coordinator", "call", "train", fed.folder, *TRAIN, steps, "training.warmup=1")
    folder = str(fed.node("clinic"))
    checkpoint = wait("a checkpoint", lambda: list(fed.node("clinic").rglob("checkpoint*.pt")), 120)
    assert checkpoint

    def workers() -> list[int]:
        return [pid for pid in processes("atoll.federation.worker") if pid in processes(folder)]

    (worker,) = workers()
    os.kill(worker, signal.SIGKILL)
    again = wait("another worker", lambda: [pid for pid in workers() if pid != worker], 60)
    assert again
    wait("the expert", lambda: fed.state().experts, 300)
    health = json.loads(atoll("node", "health", fed.node("clinic"), "--json"))
    assert health["workers"] == 1
