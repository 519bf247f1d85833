"""A federation of real processes over real TLS on loopback, driven as its operators and owners drive it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from atoll.ledger import Ledger, State
from atoll.testing.anchors import toy_anchor

ATOLL = [sys.executable, "-m", "atoll.cli.app"]
WORDS = {
    "clinic": "fever dose chart nurse wound patient ward pulse fracture acute chronic left right unspecified",
    "court": "party clause liable hereby warrant terminate licence agreement shall notice damages consent",
    "yard": "anchor rope tide harbour keel mast sail cargo crew deck hull wind north berth",
}
TRAIN = [
    "expert.kind=lora",
    "expert.rank=2",
    "training.steps=4",
    "training.batch=4",
    "training.warmup=1",
    "training.evaluate_every=4",
    "training.checkpoint_every=1",
    "training.validation_windows=32",
    "descriptor.documents=20",
    "descriptor.counted=20",
]
"""Settings under which a toy expert takes a second or two."""
TRAINING_RULES = {"training": {"max_share": 0.25, "token_documents": 5, "trainings": 100}}
"""Rules under which so short a training may leave, and many of them."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def atoll(*arguments: str | Path, code: int = 0, timeout: float = 240) -> str:
    """Run a command to its end; what it said."""
    command = [*ATOLL, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environment(), check=False)
    assert done.returncode == code, f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "COLUMNS": "200", "OMP_NUM_THREADS": "1", **more}


def wait(what: str, ready: Callable[[], Any], seconds: float = 120) -> Any:
    """Wait until something is there, and return it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = ready()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {seconds} s")


class Program:
    """A program that stays up."""

    def __init__(self, command: Sequence[str | Path], log: Path, **more: str) -> None:
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                list(map(str, command)),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env=environment(**more),
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def said(self) -> str:
        return self.log.read_text("utf-8", errors="replace") if self.log.exists() else ""

    def kill(self) -> None:
        """As a power cut would; its children are told by nobody."""
        if self.alive:
            self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        if self.alive:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()
            raise


class Federation:
    """A coordinator's folder, nodes' folders, and what runs of them."""

    def __init__(self, root: Path, owners: Sequence[str] = ("clinic", "court")) -> None:
        self.root, self.folder, self.port = root, root / "coordinator", free_port()
        anchor = toy_anchor(root / "anchor")
        self.programs: dict[str, Program] = {}
        atoll(
            *("coordinator", "init", self.folder, "--host", "localhost", "--host", "127.0.0.1"),
            *("--bind", "127.0.0.1", "--port", str(self.port), "--status-port", "0", "--anchor", str(anchor.path)),
        )
        for owner in owners:
            self.enrol(owner)

    def large(self, form: dict[str, Any]) -> None:
        """Give everyone, before anything runs, an anchor of this form in the toy's place."""
        import shutil

        shutil.rmtree(self.root / "anchor")
        toy_anchor(self.root / "anchor", **form)
        atoll("coordinator", "init", self.folder, "--host", "localhost")
        for node in self.root.glob("*/node.yaml"):
            shutil.copyfile(self.folder / "invitation.json", node.parent / "invitation.json")

    def node(self, owner: str) -> Path:
        return self.root / owner

    def make_node(self, owner: str, words: str = "", documents: int = 240, **policy: Any) -> Path:
        """The institution's own part, up to the file that it hands over."""
        data = self.root / "data" / owner
        write_silo(data, words or WORDS[owner], documents, owner)
        node = self.node(owner)
        invitation = self.folder / "invitation.json"
        arguments: list[str | Path] = ["--owner", owner, "--data", data, "--domain", f"words of a {owner}"]
        atoll("node", "init", node, "--invitation", invitation, *arguments)
        config = yaml.safe_load((node / "node.yaml").read_text())
        config["data"]["sequence_length"] = 32
        (node / "node.yaml").write_text(yaml.safe_dump(config))
        rules = {**yaml.safe_load((node / "policy.yaml").read_text()), "min_documents": 5, **TRAINING_RULES, **policy}
        (node / "policy.yaml").write_text(yaml.safe_dump(rules))
        return node

    def enrol(self, owner: str, words: str = "", **policy: Any) -> None:
        node = self.make_node(owner, words, **policy)
        atoll("coordinator", "approve", self.folder, node / "enrolment.json")

    def start(self, *names: str, **more: str) -> None:
        """The coordinator or nodes, by name."""
        for name in names:
            kind, folder = ("coordinator", self.folder) if name == "coordinator" else ("node", self.node(name))
            self.programs[name] = Program([*ATOLL, kind, "up", folder], self.root / f"{name}.log", **more)

    def said(self, name: str) -> str:
        return (self.root / f"{name}.log").read_text("utf-8", errors="replace")

    def wait_said(self, name: str, text: str, seconds: float = 120) -> None:
        wait(f"{name} says {text!r}", lambda: text in self.said(name), seconds)

    def stop(self) -> None:
        for program in self.programs.values():
            if program.alive:
                os.kill(program.pid, signal.SIGTERM)
        for program in self.programs.values():
            try:
                program.stop()
            except subprocess.TimeoutExpired:
                continue

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        with Ledger.open(self.folder / "ledger.db") as ledger:
            yield ledger

    def state(self) -> State:
        with self.ledger() as ledger:
            return ledger.state()

    def call(self, work: str, *arguments: str, seconds: float = 200, code: int = 0) -> str:
        return atoll("coordinator", "call", work, self.folder, *arguments, "--wait", str(seconds), code=code)

    def train(self, *overrides: str, **how: Any) -> str:
        return self.call("train", *TRAIN, *overrides, **how)

    def release(self, *arguments: str) -> str:
        """Make a release; its digest."""
        self.call("release", *arguments)
        state = self.state()
        return state.releases[max(state.releases)].released.digest

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(atoll("coordinator", "status", self.folder, "--json"))
        return found


def write_silo(folder: Path, words: str, documents: int, seed: str) -> None:
    """Documents of one domain's words, as JSONL."""
    import random

    draw = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"text": " ".join(draw.choices(words.split(), k=60))}) for _ in range(documents)]
    (folder / "notes.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def processes(text: str) -> list[int]:
    """Processes whose command line holds a text."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if text.encode() in path.read_bytes().replace(b"\0", b" "):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found
