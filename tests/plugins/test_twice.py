"""A name stands for one thing: what two packages register is refused, and both are named."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.plugins.outside import install

from atoll.cli.checks import plugins
from atoll.errors import PluginError
from atoll.plugins import build, load, names

ROUTER = """\
from atoll.strategies.route.uniform import Uniform as Theirs
Copy = Theirs
class Uniform(Theirs):
    name = "{name}"
"""
BUILT_IN = [
    ("atoll.experts", "lora"),
    ("atoll.routers", "top-k"),
    ("atoll.integrators", "soup"),
    ("atoll.replay", "gaussian"),
    ("atoll.baselines", "joint"),
    ("atoll.partitions", "dirichlet"),
    ("atoll.studies", "silos"),
    ("atoll.online", "arrivals"),
    ("atoll.workloads", "text"),
]


@pytest.mark.parametrize(("group", "name"), BUILT_IN)
def test_nobody_takes_the_name_of_a_built_in(
    group: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "usurper", "3.1", ROUTER.format(name=name), {group: {name: "Uniform"}})
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(PluginError, match=r"atoll \S+ \(.*usurper 3\.1 \(usurper:Uniform\)") as refused:
        load(group, name)
    assert name in str(refused.value)
    assert name in names(group)
    for other in set(names(group)) - {name}:
        load(group, other)


def test_nor_do_two_others_share_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("first", "second"):
        install(tmp_path, package, "1.0", ROUTER.format(name="own"), {"atoll.routers": {"own": "Uniform"}})
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(PluginError, match=r"first 1\.0 .* and second 1\.0"):
        build("atoll.routers", "own", {})
    found = {check.name: check for check in plugins()}
    assert found["routers: own"].state == "broken"
    assert found["routers: top-k"].state == "ok"


def test_what_calls_itself_by_another_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "masked", "1.0", ROUTER.format(name="top-k"), {"atoll.routers": {"mine": "Uniform"}})
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(PluginError, match=r"'mine' .* masked 1\.0.* calls itself 'top-k'"):
        load("atoll.routers", "mine")


@pytest.mark.parametrize("name", ["doctor", "mixture", "node"])
def test_a_command_of_ours_is_nobody_elses(name: str, tmp_path: Path) -> None:
    source = "import typer\napp = typer.Typer()\n@app.command()\ndef theirs(): print('theirs')\n"
    install(tmp_path, "usurper", "3.1", source, {"atoll.commands": {name: "app", "theirs": "app"}})
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); from atoll.cli.entry import main; main()"
    for arguments, exit_code, told in (([name, "--help"], 7, "usurper 3.1"), (["--version"], 0, "")):
        command = [sys.executable, "-c", code, str(tmp_path), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == exit_code, done.stderr
        assert told in done.stderr
