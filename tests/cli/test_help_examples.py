"""Every command's help has an example that calls that very command."""

import re
from collections.abc import Iterator

import click
import pytest
import typer
from click.testing import CliRunner

from atoll.cli.app import app


def _commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, below in sorted(getattr(command, "commands", {}).items()):
        yield from _commands(below, (*path, name))


WHOLE = typer.main.get_command(app)


@pytest.mark.parametrize("path", list(_commands(WHOLE)), ids=lambda path: "-".join(path) or "atoll")
def test_help_has_an_example_of_the_command(path: tuple[str, ...]) -> None:
    done = CliRunner().invoke(WHOLE, [*path, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert done.exit_code == 0
    shown = " ".join(done.output.split())
    example = r"(Example|Start with): ([^ ]+ [^ ]*\| )?" + re.escape(" ".join(("atoll", *path))) + r"( |$)"
    assert re.search(example, shown), shown
