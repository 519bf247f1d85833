"""The program's entry: one sentence and an exit code, whatever is raised; output for any encoding and reader."""

import errno
import io
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import sqlalchemy.exc
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError

from atoll.cli.entry import INTERNAL, INTERRUPTED, guarded
from atoll.cli.output import echo_json, prepare_output
from atoll.errors import AtollError, ConfigError, LedgerError, MachineError

_DATABASE = sqlalchemy.exc.OperationalError("INSERT …", {}, sqlite3.OperationalError("database or disk is full"))
RAISED = {
    "ours": (LedgerError("it is so"), LedgerError.exit_code),
    "full": (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/x/y"), MachineError.exit_code),
    "quota": (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)), MachineError.exit_code),
    "permission": (PermissionError(errno.EACCES, "Permission denied", "/x"), MachineError.exit_code),
    "read-only": (OSError(errno.EROFS, "Read-only file system", "/x"), MachineError.exit_code),
    "files": (OSError(errno.EMFILE, "Too many open files", "/x"), MachineError.exit_code),
    "long": (OSError(errno.ENAMETOOLONG, "File name too long", "/" + "x" * 300), MachineError.exit_code),
    "file-for-folder": (NotADirectoryError(errno.ENOTDIR, "Not a directory", "/x/y"), MachineError.exit_code),
    "two-names": (OSError(errno.EXDEV, "Invalid cross-device link", "/x", None, "/y"), MachineError.exit_code),
    "bare": (OSError("something"), MachineError.exit_code),
    "odd-name": (OSError(errno.EACCES, "Permission denied", b"/\xff\n"), MachineError.exit_code),
    "descriptor": (OSError(errno.EBADF, "Bad file descriptor", 7), MachineError.exit_code),
    "memory": (MemoryError(), MachineError.exit_code),
    "torch-memory": (torch.OutOfMemoryError("CUDA out of memory. Tried …"), MachineError.exit_code),
    "cpu-memory": (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried …"), MachineError.exit_code),
    "database": (_DATABASE, MachineError.exit_code),
    "sqlite": (sqlite3.OperationalError("attempt to write a readonly database"), MachineError.exit_code),
    "yaml": (yaml.YAMLError("bad [indent]"), ConfigError.exit_code),
    "safetensors": (SafetensorError('IoError(Os { code: 28, kind: StorageFull, message: "No" })'), 12),
    "http": (httpx.ConnectError("refused"), 8),
    "home": (RuntimeError("Could not determine home directory."), MachineError.exit_code),
    "bug": (KeyError("nothing [/] of this"), INTERNAL),
    "interrupted": (KeyboardInterrupt(), INTERRUPTED),
    "exit": (SystemExit(3), 3),
    "pipe": (BrokenPipeError(errno.EPIPE, "Broken pipe"), 1),
}


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


def ended(run: Callable[[], object]) -> int | str | None:
    with pytest.raises(SystemExit) as end:
        guarded(run)
    return end.value.code


def raising(error: BaseException) -> Callable[[], object]:
    def run() -> None:
        raise error

    return run


@pytest.mark.parametrize("kind", RAISED)
def test_whatever_is_raised_is_one_sentence_and_a_code(
    kind: str, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error, code = RAISED[kind]
    assert ended(raising(error)) == code
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert len(said.splitlines()) == (0 if kind in ("exit", "pipe") else 1)
    assert any(state.rglob("*.txt")) == (kind == "bug")


def test_a_fault_of_ours_names_the_file_of_its_traceback(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ended(raising(KeyError("x")))
    (kept,) = state.rglob("*.txt")
    assert str(kept) in capsys.readouterr().err
    assert "KeyError: 'x'" in kept.read_text(encoding="utf-8")
    assert kept.stat().st_mode & 0o077 == 0


def test_where_no_traceback_can_be_kept_the_next_place_is_taken(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    state.write_text("a file where a folder is needed", encoding="utf-8")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert ended(raising(KeyError("x"))) == INTERNAL
    (kept,) = tmp_path.glob("atoll-error-*")
    assert str(kept) in capsys.readouterr().err


def test_a_thread_that_fails_leaves_no_traceback(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from threading import Thread

    def run() -> None:
        thread = Thread(target=raising(KeyError("in a thread")), name="silo-x")
        thread.start()
        thread.join()

    assert ended(run) == 0
    said = capsys.readouterr().err
    assert "silo-x" in said
    assert "Traceback" not in said
    assert str(state) in said


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "cp437", "utf-8", "utf-16"])
@given(text=st.text(st.characters(), max_size=20))
def test_any_text_goes_to_any_output(encoding: str, text: str) -> None:
    raw = io.BytesIO()
    with pytest.MonkeyPatch.context() as patch:
        stream = io.TextIOWrapper(raw, encoding=encoding)
        patch.setattr(sys, "stdout", stream)
        prepare_output()
        sys.stdout.write("‘" + text + "\udcff\ud800é→\n")
        sys.stdout.flush()
        shown = raw.getvalue().decode(encoding)
    if "utf" not in encoding:
        assert "?" not in shown or "?" in text


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
@given(value=st.dictionaries(st.text(), st.text()))
def test_json_is_read_as_it_is_meant_on_any_output(encoding: str, value: dict[str, str]) -> None:
    raw = io.BytesIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
        prepare_output()
        echo_json(json.dumps(value, ensure_ascii=False))
        sys.stdout.flush()
        assert json.loads(raw.getvalue().decode(encoding)) == value


PROGRAM = """
import sys
from atoll.cli.entry import guarded
def run():
    from rich.console import Console
    from rich.table import Table
    table = Table(title="‘clinic’ → Γειά")
    table.add_column("é")
    console = Console()
    console.print(table)
    for each in range({lines}):
        print("‘clinic’ …", each)
    sys.stderr.write("“too”\\n")
guarded(run)
"""


def program(lines: int, **how: object) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": "ascii:strict", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-c", PROGRAM.format(lines=lines)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, **how)  # type: ignore[call-overload,no-any-return]


def test_a_pipe_of_ascii_gets_everything() -> None:
    made = program(1, stdout=subprocess.PIPE)
    out, err = made.communicate()
    assert made.returncode == 0
    assert b"'clinic' ..." in out
    assert err == b'"too"\n'


def test_a_reader_that_goes_leaves_no_traceback() -> None:
    made = program(100_000, stdout=subprocess.PIPE)
    assert made.stdout is not None
    assert made.stderr is not None
    made.stdout.readline()
    made.stdout.close()
    err = made.stderr.read()
    assert b"Traceback" not in err
    assert b"Exception" not in err
    made.stderr.close()
    assert made.wait() == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_an_output_on_a_full_disk_is_said() -> None:
    with Path("/dev/full").open("wb") as full:
        made = program(1, stdout=full)
        _, err = made.communicate()
    assert made.returncode == MachineError.exit_code
    assert b"Traceback" not in err
    assert b"Exception" not in err
    assert b"No space left" in err


def test_a_closed_output_is_no_fault() -> None:
    made = program(1, preexec_fn=lambda: os.close(1))
    _, err = made.communicate()
    assert made.returncode == 0, err


def test_every_error_of_ours_has_a_code_of_its_own() -> None:
    def below(kind: type[AtollError]) -> list[type[AtollError]]:
        return [
            kind,
            *(each for sub in kind.__subclasses__() for each in below(sub) if sub.__module__ == "atoll.errors"),
        ]

    codes = [kind.exit_code for kind in below(AtollError) if kind.__module__ == "atoll.errors"]
    assert len(set(codes)) == len(codes)
    assert not {INTERNAL, INTERRUPTED} & set(codes)
