"""Every command, on a machine that refuses: one sentence and an exit code, and never a traceback."""

import ctypes
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
from tests.coordinator.releases.conftest import save_expert
from tests.deployment.federation import write_silo

from atoll.cli.app import app
from atoll.cli.entry import INTERNAL, guarded
from atoll.errors import AtollError
from atoll.federation.flower.loopback import free_port
from atoll.testing.anchors import toy_anchor

_NOBODY = 65534
_SECONDS = 6
COMMANDS: dict[str, str] = {
    "anchor show": "{place}",
    "anchor tabular": "{root}/schema.yaml --out {place}/made",
    "bench compare": "coins --work {place}",
    "bench list": "--work {place}",
    "bench report": "three-domains --work {place}",
    "bench run": "drift-synthetic --quick --work {place}",
    "coordinator accept": "{coordinator} {root}/clinic.atoll",
    "coordinator approve": "{coordinator} {node}/enrolment.json",
    "coordinator backup": "{coordinator} --out {place}/made.tar",
    "coordinator call audit": "{coordinator}",
    "coordinator call evaluate": "{coordinator}",
    "coordinator call release": "{coordinator}",
    "coordinator call train": "{coordinator}",
    "coordinator confirm": "{coordinator} clinic --reason x",
    "coordinator erase": "{coordinator}",
    "coordinator init": "{place}/made --host localhost --anchor {root}/anchor",
    "coordinator operator add": "{coordinator} me --role operate",
    "coordinator operator confirm": "{coordinator} act",
    "coordinator operator list": "{coordinator}",
    "coordinator operator remove": "{coordinator} me",
    "coordinator restore": "{coordinator} --reason x",
    "coordinator revoke": "{coordinator} clinic",
    "coordinator status": "{coordinator}",
    "coordinator up": "{coordinator}",
    "coordinator withdraw": "{coordinator} clinic --reason x",
    "data check": "{place}",
    "demo": "--quick --output {place}/made",
    "doctor": "",
    "expert export": "{root}/clinic.atoll --out {place}/made --anchor {root}/anchor",
    "expert key new": "{place}/made.key",
    "expert pack": "{place} --key {node}/owner.key --out {place}/made.atoll",
    "expert show": "{root}/clinic.atoll",
    "expert unpack": "{root}/clinic.atoll {place}/made",
    "expert verify": "{place}",
    "ledger fork-proof": "{place} {place}",
    "ledger show": "{coordinator}/ledger.db",
    "ledger verify": "{coordinator}/ledger.db",
    "mixture build": "{root}/clinic.atoll --anchor {root}/anchor --out {place}/made",
    "mixture evaluate": "{root}/mix {root}/data --unsigned --windows 2",
    "mixture export": "{root}/mix {place}/made --unsigned",
    "mixture generate": "{root}/mix hello --unsigned --tokens 2",
    "mixture show": "{place}",
    "node alarms": "{node}",
    "node budget": "{node} --renew trainings",
    "node enrol": "{node} --renew",
    "node forget": "{node} {root}/data",
    "node health": "{node}",
    "node init": "{place}/made --invitation {coordinator}/invitation.json --owner yard --data {root}/data --domain x",
    "node key protect": "{node} --file {root}/schema.yaml",
    "node key rotate": "{node}",
    "node key show": "{node}",
    "node outbox": "{node}",
    "node peer add": "{node} {node}/enrolment.json",
    "node peer certify": "{node} --certificate {place} --key {place} --out {place}/made",
    "node peer cosign": "{node} {node}/enrolment.json --fingerprint x --out {place}/made",
    "node peer list": "{node}",
    "node peer remove": "{node} clinic",
    "node permit": "{node} --purpose any",
    "node policy": "{node}",
    "node receipts": "{node} --out {place}/made",
    "node scorecard": "{node} --before {place}",
    "node train": "{node} --offline",
    "node up": "{node}",
    "node withdraw": "{node} --words x",
    "node works": "{node}",
    "run": "{root}/run.yaml output={place}/made",
}
"""Every command with arguments that it takes, of which some name what the machine refuses."""


@dataclass(frozen=True)
class World:
    """Folders that are good, below one that everybody may enter."""

    root: Path

    def arguments(self, command: str, place: Path) -> list[str]:
        names = {"root": self.root, "place": place}
        names |= {name: self.root / name for name in ("coordinator", "node")}
        return [*command.split(), *(part.format(**names) for part in COMMANDS[command].split())]


def forked(arguments: list[str], prepare: Callable[[], None]) -> tuple[int, str]:
    """Exit code and output of a command in a copy of this process, after ``prepare``; what serves is told to stop."""
    with tempfile.TemporaryFile() as output:
        read, write = os.pipe()
        writer = os.fork()
        if writer == 0:  # what is written goes by a pipe: the limits are the command's alone
            os.close(write)
            while block := os.read(read, 65536):
                os.write(output.fileno(), block)
            os._exit(0)
        os.close(read)
        child = os.fork()
        if child == 0:
            os._exit(_run(arguments, prepare, write))
        os.close(write)
        code = _ended(child)
        os.waitpid(writer, 0)
        output.seek(0)
        return code, output.read().decode("utf-8", errors="replace")


def _run(arguments: list[str], prepare: Callable[[], None], write: int) -> int:
    for number, opened in ((0, os.open(os.devnull, os.O_RDONLY)), (1, write), (2, write)):
        os.dup2(opened, number)
    os.close(write)
    sys.stdin, sys.stdout, sys.stderr = (open(number, mode, closefd=False) for number, mode in enumerate("rww"))  # noqa: SIM115
    prepare()
    try:
        guarded(lambda: app(arguments))
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _ended(child: int) -> int:
    end, asked = time.monotonic() + _SECONDS, False
    while not (found := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL if asked else signal.SIGTERM)
            asked, end = True, time.monotonic() + 20
        time.sleep(0.01)
    return os.waitstatus_to_exitcode(found[1])


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    root = Path(tempfile.mkdtemp(prefix="atoll-faults-", dir="/tmp"))
    anchor = toy_anchor(root / "anchor", layers=3)
    write_silo(root / "data", "fever dose chart nurse wound patient ward", 60, "clinic")
    save_expert(root / "clinic.atoll", anchor, "clinic")
    (root / "schema.yaml").write_text("columns: {a: {kind: number}}\nlabel: {column: y, classes: [a, b]}\n", "utf-8")
    (root / "run.yaml").write_text(
        f"anchor: {anchor.path}\nsilos:\n- {{name: clinic, domain: d, data: {{paths: [{root}/data]}}}}\n", "utf-8"
    )
    made = World(root)
    coordinator = ["coordinator", "init", str(root / "coordinator"), "--host", "localhost", "--bind", "127.0.0.1"]
    coordinator += ["--port", str(free_port()), "--status-port", "0", "--anchor", str(anchor.path)]
    node = ["node", "init", str(root / "node"), "--invitation", str(root / "coordinator" / "invitation.json")]
    node += ["--owner", "clinic", "--domain", "d", "--data", str(root / "data")]
    approve = ["coordinator", "approve", str(root / "coordinator"), str(root / "node" / "enrolment.json")]
    build = ["mixture", "build", str(root / "clinic.atoll"), "--anchor", str(anchor.path), "--out", str(root / "mix")]
    for command in (coordinator, node, approve, build):
        code, said = forked(command, lambda: None)
        assert code == 0, said
    yield made
    shutil.rmtree(root)


def leaves() -> list[str]:
    def below(command: object, path: str) -> list[str]:
        found = getattr(command, "commands", None)
        if found is None:
            return [path]
        return [leaf for name, each in found.items() for leaf in below(each, f"{path} {name}".strip())]

    return below(typer.main.get_command(app), "")


def test_every_command_is_tried() -> None:
    assert sorted(COMMANDS) == sorted(leaves())


def only_reads() -> None:
    """As a user who may look and not write; what is another's alone is not read either."""
    if os.getuid() == 0:
        header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # of Linux's capabilities: root without its powers
        assert ctypes.CDLL(None).capset(header, (ctypes.c_uint32 * 6)()) == 0
    os.environ.update(HOME="/nonexistent", XDG_STATE_HOME="/nonexistent")


def full_disk() -> None:
    """Nothing more can be written to any file."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def few_files() -> None:
    """Hardly a file more can be opened."""
    used = max(map(int, os.listdir("/proc/self/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 2, used + 2))


def nothing() -> None:
    """The machine is fine; the place is not."""


FAULTS: dict[str, tuple[Callable[[], None], Callable[[Path], Path]]] = {
    "only reads": (only_reads, lambda root: root),
    "full disk": (full_disk, lambda root: root / "place"),
    "few files": (few_files, lambda root: root / "place"),
    "a file for a folder": (nothing, lambda root: root / "schema.yaml"),
    "below a file": (nothing, lambda root: root / "schema.yaml" / "below"),
    "a name too long": (nothing, lambda root: root / ("x" * 300)),
    "a pipe": (nothing, lambda root: root / "pipe"),
    "a loop": (nothing, lambda root: root / "loop"),
}


def belong_to_another(root: Path) -> None:
    for path in [root, *root.rglob("*")]:
        if path.is_dir():
            path.chmod(0o755 if os.getuid() == 0 else 0o555)
        if os.getuid() == 0:
            os.chown(path, _NOBODY, _NOBODY, follow_symlinks=False)


_QUICK = {"coordinator approve", "coordinator init", "expert unpack", "ledger verify", "node permit"}
"""Commands that are tried whenever tests are run; all the others take minutes together."""


@pytest.mark.parametrize(
    "command", [pytest.param(each, marks=() if each in _QUICK else pytest.mark.suite) for each in COMMANDS]
)
def test_a_command_that_the_machine_refuses_says_so(command: str, world: World, tmp_path: Path) -> None:
    # One that works on in spite of it, or waits for what comes by a pipe, is told to stop.
    codes = {0, 1, 2, -signal.SIGTERM, *(kind.exit_code for kind in AtollError.__subclasses__())}
    for fault, (prepare, placed) in FAULTS.items():
        root = Path(tempfile.mkdtemp(prefix="atoll-fault-", dir="/tmp"))
        try:
            shutil.copytree(world.root, root, dirs_exist_ok=True)
            (root / "place").mkdir()
            os.mkfifo(root / "pipe")
            (root / "loop").symlink_to(root / "loop")
            if prepare is only_reads:
                belong_to_another(root)
            code, said = forked(World(root).arguments(command, placed(root)), prepare)
            assert "Traceback" not in said, (fault, said)
            assert code != INTERNAL, (fault, said)
            assert code in codes, (fault, code, said)
            if code > 0:
                assert said.strip(), fault
        finally:
            for folder in [root, *root.rglob("*/")]:
                folder.chmod(0o700)
            shutil.rmtree(root)
