"""``atoll data``: what an owner's data holds, before anything is trained."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from atoll.workloads.survey import Survey

app = typer.Typer(no_args_is_help=True, epilog="Example: atoll data check federation.yaml")


@app.callback()
def _group() -> None:
    """Look at data before it is trained on."""


@app.command(epilog="Example: atoll data check federation.yaml · atoll data check letters/ document=paragraphs")
def check(
    where: Annotated[
        Path, typer.Argument(metavar="FILE_OR_CONFIG", help="A run's YAML file, a node's folder, or data itself.")
    ],
    settings: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]…", help="Of the configuration, or how data is read.")
    ] = None,
    workload: Annotated[str, typer.Option(help="Of data itself: text, mobility, images or tabular.")] = "text",
    anchor: Annotated[str, typer.Option(help="Of data itself: what would read it.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Files, documents, splits, lengths, duplicates, and what is wrong, without training.

    Exit code 3 where data cannot be used.
    """
    from atoll.cli.surveys import surveys

    show(surveys(where, settings or [], workload, anchor), as_json=as_json)


def show(found: "Sequence[Survey]", *, as_json: bool = False) -> None:
    """Print surveys, and exit with 3 where data cannot be used."""
    from rich.console import Console

    from atoll.cli.data_tables import survey_tables
    from atoll.errors import DataError

    if as_json:
        typer.echo(json.dumps([each.plain() for each in found], indent=1, ensure_ascii=False))
    else:
        for each in found:
            for table in survey_tables(each):
                Console().print(table, highlight=False)
    if any(each.problem for each in found):
        raise typer.Exit(DataError.exit_code)
