"""``atoll``, ``atoll run`` and ``atoll demo`` as typed: what they say, how they exit, what they leave."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from atoll.cli.app import main
from atoll.errors import ConfigError, FederationError

HEAVY = ("torch", "flwr", "mlflow", "transformers", "peft", "matplotlib", "numpy")


def typed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object
) -> tuple[int | None, str, str]:
    """Exit code, output and errors of the program in this process."""
    monkeypatch.setattr(sys, "argv", ["atoll", *map(str, arguments)])
    monkeypatch.setenv("COLUMNS", "120")
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert ended.value.code is None or isinstance(ended.value.code, int)
    return ended.value.code, said.out, said.err


def federation(folder: Path, **changes: object) -> Path:
    """A configuration whose silo has data, and that writes below ``folder``."""
    data = folder / "data"
    data.mkdir(exist_ok=True)
    (data / "notes.txt").write_text("A few words.\n")
    config = {
        "output": str(folder / "run"),
        "silos": [{"name": "clinic", "domain": "notes", "data": {"paths": [str(data)]}}],
        **changes,
    }
    path = folder / "federation.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def left(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--help"], ["demo", "run", "expert", "mixture", "doctor", "Start with: atoll demo --quick"]),
        (["-h"], ["doctor"]),
        (["run", "--help"], ["CONFIG", "[KEY=VALUE]", "Example: atoll run federation.yaml"]),
        (["demo", "--help"], ["--quick", "--anchor", "--output", "--seed", "Example: atoll demo --quick"]),
        (["doctor", "--help"], ["--json", "Example: atoll doctor"]),
        (["expert", "--help"], ["show", "verify", "pack"]),
        (["mixture", "--help"], ["build", "evaluate", "export"]),
    ],
)
def test_help_has_what_there_is_and_an_example(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], expected: list[str]
) -> None:
    code, output, _ = typed(monkeypatch, capsys, *arguments)
    assert code == 0
    for text in expected:
        assert text in output


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["expert", "--help"], ["mixture", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    script = (
        "import json, sys\n"
        f"sys.argv = ['atoll', *{arguments!r}]\n"
        "from atoll.cli.app import main\n"
        "try:\n    main()\nexcept SystemExit as ended:\n    assert ended.code == 0\n"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []


@pytest.mark.parametrize(
    "arguments", [["rum"], ["run"], ["demo", "--quik"], ["demo", "--seed", "x"], ["doctor", "--xml"]]
)
def test_a_wrong_command_exits_with_2_and_says_which(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    code, _, errors = typed(monkeypatch, capsys, *arguments)
    assert code == 2
    assert "Traceback" not in errors
    assert (arguments[-1] if arguments != ["run"] else "CONFIG") in errors


@pytest.mark.parametrize(
    ("changes", "overrides", "message"),
    [
        ({"sead": 1}, [], "federation.yaml:2: unknown key 'sead': did you mean 'seed'?"),
        ({"seed": "many"}, [], "'seed' is 'many', but should be a whole number (int)"),
        ({}, ["training.stepz=1"], "command line: unknown key 'training.stepz': did you mean 'training.steps'?"),
        ({}, ["seed"], "command line: 'seed' is no override: write key=value"),
        ({"silos": []}, [], "silos is empty: name at least one institution with its data"),
        ({"silos": [{"name": "[bold]a"}]}, [], "'silos[0].domain' must be given"),
        ({"withdraw": "[red]nobody"}, [], "withdraw is '[red]nobody', who is no silo; there are clinic"),
        ({"expert": {"rank": 0}}, [], "expert.rank is 0; it must be at least 1"),
        ({"training": {"precision": "fp64"}}, [], "training.precision is 'fp64'; it is fp32 or bf16"),
    ],
)
def test_a_configuration_that_cannot_run_is_one_line_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    changes: dict[str, object],
    overrides: list[str],
    message: str,
) -> None:
    path = federation(tmp_path, **changes)
    before = left(tmp_path)
    monkeypatch.chdir(tmp_path)
    code, _, errors = typed(monkeypatch, capsys, "run", path, *overrides)
    assert code == ConfigError.exit_code
    assert errors.startswith("error: ")
    assert message in errors
    assert len(errors.splitlines()) == 1
    assert left(tmp_path) == before


def test_a_missing_or_broken_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    federation(tmp_path)
    code, _, errors = typed(monkeypatch, capsys, "run", tmp_path / "federatoin.yaml")
    assert code == ConfigError.exit_code
    assert "federatoin.yaml: there is no such file; did you mean" in errors
    assert "federation.yaml?" in errors
    (tmp_path / "broken.yaml").write_text("silos: [\n")
    code, _, errors = typed(monkeypatch, capsys, "run", tmp_path / "broken.yaml")
    assert code == ConfigError.exit_code
    assert "broken.yaml:2:1: is not YAML" in errors
    assert len(errors.splitlines()) == 1


@pytest.mark.slow
def test_a_silo_without_its_folder_ends_the_run_before_training(tmp_path: Path) -> None:
    """In a process of its own, because it starts workers."""
    gone = tmp_path / "gone"
    silos = [{"name": "clinic", "domain": "notes", "data": {"paths": [str(gone)]}}]
    path = federation(tmp_path, silos=silos)
    (tmp_path / "run").mkdir()
    kept = tmp_path / "run" / "mine.txt"
    kept.write_text("not to be lost")
    environment = {**os.environ, "ATOLL_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "atoll.cli.app", "run", str(path)]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=240, check=False
    )
    assert done.returncode in (ConfigError.exit_code, FederationError.exit_code), done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "clinic" in line
    assert str(gone) in line
    assert kept.read_text() == "not to be lost"
    assert not list((tmp_path / "run").glob("releases/*"))
    assert not list((tmp_path / "run").rglob("*.atoll"))
