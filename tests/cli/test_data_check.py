"""`atoll data check` and `atoll run --check` say what data holds and what is wrong with it, and train nothing."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from atoll.cli.app import app
from atoll.config import read_config
from atoll.coordinator.config import RunConfig
from atoll.coordinator.run import execute
from atoll.coordinator.run_basis import RunBasis
from atoll.errors import FederationError, PluginError
from atoll.testing import toy_anchor


def write(folder: Path, count: int = 40) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (folder / f"{number:02}.txt").write_text(
            f"Letter {number} of {folder.name}. " + "word " * (40 + number), "utf-8"
        )
    return folder


def configured(tmp_path: Path) -> Path:
    anchor = toy_anchor(tmp_path / "anchor").path
    silos = [
        {
            "name": name,
            "domain": name,
            "data": {"workload": "text", "paths": [str(write(tmp_path / name))], "sequence_length": 32},
        }
        for name in ("clinic", "court")
    ]
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump({"anchor": str(anchor), "output": str(tmp_path / "out"), "silos": silos}))
    return path


def check(*arguments: str, code: int = 0) -> str:
    found = CliRunner().invoke(app, list(arguments))
    assert found.exit_code == code, (found.exit_code, found.output, found.exception)
    return found.output


def test_a_folder_is_looked_at(tmp_path: Path) -> None:
    folder = write(tmp_path / "letters")
    (folder / "copy.txt").write_text((folder / "07.txt").read_text())
    (found,) = json.loads(check("data", "check", str(folder), "sequence_length=32", "--json"))
    assert (found["problem"], found["report"]["files"], found["report"]["duplicates"]) == ("", 41, 1)
    assert sum(split["documents"] for split in found["splits"].values()) == 41
    assert all(split["samples"] for split in found["splits"].values())
    assert found["details"]["scripts"] == {"latin": "100%"}
    assert next(iter(found["details"]["longest"])).startswith("letters/39.txt")
    shown = check("data", "check", str(folder), "sequence_length=32")
    assert "train" in shown
    assert "1 duplicates" in shown


def test_a_run_is_looked_at_owner_by_owner_and_nothing_is_made(tmp_path: Path) -> None:
    path = configured(tmp_path)
    for arguments in (("run", str(path), "--check"), ("data", "check", str(path))):
        said = check(*arguments)
        assert "clinic (text)" in said
        assert "court (text)" in said
    (tmp_path / "court" / "07.txt").write_bytes(b"\xff\xfe\x00\x01")
    said = check("run", str(path), "--check", code=3)
    assert "07.txt" in " ".join(said.split())
    assert not (tmp_path / "out").exists()
    with pytest.raises(PluginError, match="nonsense"):
        CliRunner().invoke(app, ["run", str(path), "--check", "router.name=nonsense"], catch_exceptions=False)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["nowhere"], 2),
        (["letters", "--workload", "tabular"], 2),
        (["letters", "sequence_lenght=3"], 2),
        (["bad.yaml"], 2),
    ],
)
def test_what_cannot_be_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int
) -> None:
    write(tmp_path / "letters", 5)
    (tmp_path / "bad.yaml").write_text("a: [")
    monkeypatch.chdir(tmp_path)
    found = CliRunner().invoke(app, ["data", "check", *arguments])
    assert found.exception is not None
    assert getattr(found.exception, "exit_code", found.exit_code) == code


def test_misspelt_paths_are_known_before_any_process_starts(tmp_path: Path) -> None:
    path = configured(tmp_path)
    config = read_config(RunConfig, path, ["silos[0].data.paths=[/nowhere/*.txt]"])
    (tmp_path / "court" / "07.txt").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(FederationError, match=r"clinic: .*nowhere.*; court: .*07\.txt.*incomplete=true"):
        execute(config, command="atoll run")
    assert not (tmp_path / "out" / "silos").exists()
    assert not RunBasis.of(config).data["clinic"]
