"""Keys in OpenSSH's own agent, which holds keys as a hardware token does: it signs, and shows nothing."""

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from atoll.errors import ConfigError
from atoll.experts.key_agent import AgentKey, agent_keys
from atoll.experts.signing import PublicKey, Signer
from atoll.experts.statements import Enrolment

needs_agent = pytest.mark.skipif(not shutil.which("ssh-agent"), reason="there is no ssh-agent on this machine")


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An agent that holds one Ed25519 key, which is nowhere else."""
    address = tmp_path / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(address)], stdout=subprocess.DEVNULL) as process:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(address))
        key = tmp_path / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        for _ in range(200):
            if address.exists():
                break
            threading.Event().wait(0.02)
        subprocess.run(["ssh-add", "-q", str(key)], check=True, env={**os.environ})
        key.unlink()
        yield address
        process.terminate()


@needs_agent
def test_an_agents_key_signs_as_any_other(agent: Path) -> None:
    (public,) = agent_keys()
    key: Signer = AgentKey(public)
    made = key.sign(b"data")
    assert public.verify(made, b"data")
    assert made == key.sign(b"data"), "seeds rest on signatures being the same every time"
    enrolment = Enrolment(public_key=public.hex, owner="clinic", domain="x", node_key="k").signed(key)
    assert Enrolment.from_json(enrolment.to_json()) == enrolment


@needs_agent
def test_an_agent_that_lost_the_key_says_so(agent: Path) -> None:
    (public,) = agent_keys(str(agent))
    subprocess.run(["ssh-add", "-q", "-D"], check=True)
    with pytest.raises(ConfigError, match="does not sign"):
        AgentKey(public).sign(b"data")


def test_without_an_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with pytest.raises(ConfigError, match="SSH_AUTH_SOCK"):
        agent_keys()
    with pytest.raises(ConfigError, match="no agent answers"):
        agent_keys(str(tmp_path / "gone"))


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\0\0\0\0",
        b"\xff\xff\xff\xff",
        b"\0\0\0\1\5",
        b"\0\0\0\5\x0e\0\0\0\x7f",
        b"\0\0\0\x0d\x0e\0\0\0\x08\0\0\0\0\0\0\0\0",
    ],
)
def test_what_answers_in_an_agents_place_signs_nothing(tmp_path: Path, answer: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(tmp_path / "agent"))
        server.listen(1)

        def serve() -> None:
            link, _ = server.accept()
            with link:
                link.recv(1 << 16)
                link.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(ConfigError):
            AgentKey(PublicKey(bytes([7]) * 32), str(tmp_path / "agent")).sign(b"data")
        thread.join()
