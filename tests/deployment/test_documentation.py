"""docs/deployment.md says what works: its five commands are run as they stand, and every other one is one."""

import dataclasses
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest
import typer
import yaml
from tests.deployment.federation import Program, atoll, free_port, wait, write_silo

from atoll.cli.app import app
from atoll.clients.gate.policy import Policy
from atoll.testing.anchors import toy_anchor

TEXT = (Path(__file__).parents[2] / "docs" / "deployment.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
LINES = [line for block in BLOCKS for line in block.splitlines()]


@cache
def commands() -> dict[tuple[str, ...], click.Command]:
    """Every command by its words."""
    found: dict[tuple[str, ...], click.Command] = {}

    def walk(command: click.Command, words: tuple[str, ...]) -> None:
        found[words] = command
        for name, child in getattr(command, "commands", {}).items():
            walk(child, (*words, name))

    walk(typer.main.get_command(app), ())
    return found


def parse(words: list[str]) -> None:
    """Take a command line apart as the program would, without running it.

    Raises:
        click.UsageError: it would be refused.
    """
    known = commands()
    depth = max(depth for depth in range(len(words) + 1) if tuple(words[:depth]) in known)
    command = known[tuple(words[:depth])]
    if hasattr(command, "commands"):
        raise click.UsageError(f"there is no such command: {' '.join(words)}")
    command.make_context(" ".join(words[:depth]), words[depth:]).close()


@pytest.mark.parametrize("line", LINES)
def test_every_line_would_be_taken(line: str) -> None:
    program, *words = shlex.split(line)
    assert program == "atoll"
    parse(words)
    if words[0] in ("coordinator", "node"):  # else the next word would be taken for a folder that was forgotten
        folder = words[3] if words[1] in ("call", "key", "operator", "peer") else words[2]
        assert folder == {"coordinator": "coordinator", "node": "hospital"}[words[0]]


@pytest.mark.parametrize(
    "line",
    [
        "coordinator begin x",
        "coordinator",
        "coordinator init x",
        "coordinator init x --host y --prot 1",
        "coordinator init x --host y --port z",
        "coordinator up",
        "coordinator up x y",
    ],
)
def test_a_line_that_is_wrong_would_not(line: str) -> None:
    with pytest.raises(click.UsageError):
        parse(shlex.split(line))


def keys(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every key of a policy and its default; those of a section with its name before them."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from keys(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def test_every_key_of_the_policy_is_explained() -> None:
    section = TEXT.split("## What a node allows")[1].split("\n## ")[0]
    rows = dict(re.findall(r"^\| `([\w.]+)` \| (.*?) \|", section, re.MULTILINE))
    defaults = dict(keys(dataclasses.asdict(Policy(coordinators=[]))))
    assert list(rows) == list(defaults)
    said = {"0": 0, "none": [], "false": False, "4 GiB": 4 << 30}
    for name, default in defaults.items():
        text = rows[name].replace("`", "")
        if isinstance(default, list) and default:
            assert text.split(", ") == default
        elif name != "coordinators":
            assert said.get(text, text) == default or text == str(default), name


@pytest.mark.parametrize("line", re.findall(r"`(atoll [a-z][^`]*?)`", TEXT))
def test_every_command_in_the_text_is_one(line: str) -> None:
    program, *words = shlex.split(line)
    assert program == "atoll"
    known = commands()
    depth = max(depth for depth in range(len(words) + 1) if tuple(words[:depth]) in known)
    command = known[tuple(words[:depth])]
    assert depth >= 2 or not hasattr(command, "commands"), f"there is no such command: {line}"
    options = {name for parameter in command.params for name in parameter.opts}
    assert {word for word in words[depth:] if word.startswith("--")} <= options


@pytest.fixture
def programs() -> Iterator[list[Program]]:
    running: list[Program] = []
    yield running
    late = []
    for program in running:  # all of them: one that does not end must not leave the others behind
        try:
            program.stop()
        except subprocess.TimeoutExpired:
            late.append(program)
    assert not late


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_five_commands_make_a_federation(
    tmp_path: Path, programs: list[Program], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they stand, in two folders for two machines; only the host, the port and the paths are this machine's."""
    operator, institution = tmp_path / "operator", tmp_path / "institution"
    write_silo(tmp_path / "letters", "fever dose chart nurse wound patient ward pulse", 240, "hospital")
    operator.mkdir()
    institution.mkdir()
    port, anchor = free_port(), toy_anchor(tmp_path / "anchor")
    five = [shlex.split(line) for block in BLOCKS[:4] for line in block.splitlines()]
    assert [words[1:3] for words in five] == [
        ["coordinator", "init"],
        ["coordinator", "up"],
        ["node", "init"],
        ["coordinator", "approve"],
        ["node", "up"],
    ]
    here = {"atoll.example.org": "localhost", "/srv/letters": str(tmp_path / "letters")}
    run: dict[str, Callable[[list[str]], object]] = {
        "init": lambda words: atoll(*words),
        "approve": lambda words: atoll(*words),
        "up": lambda words: programs.append(
            Program([sys.executable, "-m", "atoll.cli.app", *words], tmp_path / f"{words[0]}.log")
        ),
    }
    for words in five:
        place = operator if words[1] == "coordinator" else institution
        monkeypatch.chdir(place)
        arguments = [here.get(word, word) for word in words[1:]]
        if arguments[:2] == ["coordinator", "init"]:
            arguments += [
                "--port",
                str(port),
                "--bind",
                "127.0.0.1",
                "--status-port",
                "0",
                "--anchor",
                str(anchor.path),
            ]
        run[arguments[1]](arguments)
        # What people carry from one machine to the other.
        for source, target in (
            (operator / "coordinator" / "invitation.json", institution / "invitation.json"),
            (institution / "hospital" / "enrolment.json", operator / "enrolment.json"),
        ):
            if source.exists():
                target.write_bytes(source.read_bytes())
    wait("the node is connected", lambda: "connected to the coordinator" in (tmp_path / "node.log").read_text())
    assert yaml.safe_load((institution / "hospital" / "policy.yaml").read_text())["coordinators"]
