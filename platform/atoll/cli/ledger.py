"""``atoll ledger``: ask a ledger what is so, and prove that it says what was written."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from atoll.ledger import Head

app = typer.Typer(
    name="ledger",
    help="Ask a ledger what is so, and prove that it says what was written.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_Ledger = Annotated[str, typer.Argument(metavar="LEDGER", help="A ledger's file, or its database URL.")]


@app.command()
def show(
    ledger: _Ledger,
    owner: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only which releases hold this owner's experts, and until when.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Owners, experts with what is permitted, and releases.

    Example: atoll ledger show ledger.db --owner hospital
    """
    from rich.console import Console

    from atoll.cli.ledger_tables import overview, overview_tables, releases_of, releases_table
    from atoll.ledger import Ledger

    with Ledger.open(ledger, create=False) as opened:
        state = opened.state()
        if as_json:
            found = overview(state) if owner is None else releases_of(state, owner)
            typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
            return
        console = Console()
        for table in overview_tables(state) if owner is None else [releases_table(state, owner)]:
            console.print(table)


@app.command()
def verify(
    ledger: _Ledger,
    head: Annotated[
        str | None,
        typer.Option(metavar="NUMBER:DIGEST", help="A head that was noted before; it must be part of the history."),
    ] = None,
) -> None:
    """Prove every event anew: exit 0 if the history is as it was written, 9 with the first event that is not.

    Note the head that it prints, away from the ledger: with it, whoever cuts or rewrites the history is found out.

    Example: atoll ledger verify ledger.db --head 12:sha256:…
    """
    from atoll.ledger import Ledger

    noted = None if head is None else _head(head)
    with Ledger.open(ledger, create=False) as opened:
        found = opened.verify(noted)
    typer.echo(f"verified: {found.sequence} events; head {found.sequence}:{found.digest}")


def _head(text: str) -> "Head":
    from atoll.errors import ConfigError
    from atoll.experts.checks import DIGEST
    from atoll.ledger import Head

    number, _, digest = text.partition(":")
    if not number.isdecimal() or not DIGEST.fullmatch(digest):
        raise ConfigError(
            f"--head is '{text}'; it looks like 12:sha256:… with 64 hexadecimal digits, as verify prints it"
        )
    return Head(int(number), digest)
