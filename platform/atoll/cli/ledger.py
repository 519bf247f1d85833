"""``atoll ledger``: ask a ledger what is so, and prove that it says what was written."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from atoll.cli.output import echo_json

if TYPE_CHECKING:
    from atoll.experts.receipts import Receipt
    from atoll.experts.signing import PublicKey
    from atoll.ledger import Head

app = typer.Typer(
    name="ledger",
    epilog="Example: atoll ledger show my-run/ledger.db",
    help="Ask a ledger what is so, and prove that it says what was written.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_Ledger = Annotated[str, typer.Argument(metavar="LEDGER", help="A ledger's file, or its database URL.")]


@app.command()
def show(
    ledger: _Ledger,
    owner: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Only which releases hold this owner's experts, until when, and where copies remain."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Owners, experts with what is permitted, and releases; of one owner, also where copies remain, and why.

    Example: atoll ledger show ledger.db --owner hospital
    """
    from rich.console import Console

    from atoll.cli.copies_tables import copies_table, owner_overview
    from atoll.cli.ledger_tables import overview, overview_tables, releases_table
    from atoll.ledger import Ledger

    with Ledger.open(ledger, create=False) as opened:
        state = opened.state()
        if as_json:
            found = overview(state) if owner is None else owner_overview(state, owner)
            echo_json(json.dumps(found, indent=2, ensure_ascii=False))
            return
        console = Console()
        of_owner = () if owner is None else (releases_table(state, owner), copies_table(state, owner))
        for table in of_owner or overview_tables(state):
            console.print(table)


@app.command()
def verify(
    ledger: _Ledger,
    head: Annotated[
        str | None,
        typer.Option(metavar="NUMBER:DIGEST", help="A head that was noted before; it must be part of the history."),
    ] = None,
    receipts: Annotated[
        list[Path] | None,
        typer.Option("--receipts", metavar="FILE", help="Receipts that nodes kept, which must be of this history."),
    ] = None,
) -> None:
    """Prove every event and signature anew: exit 0 if the history is as it was written, 9 with the first that is not.

    Note the head that it prints, away from the ledger: with it, whoever cuts or rewrites the history is found out.

    Example: atoll ledger verify ledger.db --head 12:sha256:…
    """
    from atoll.cli.ledger_tables import remarks
    from atoll.ledger import Head, Ledger

    noted = None if head is None else _head(head)
    with Ledger.open(ledger, create=False, any_head=True) as opened:
        found = opened.verify(noted)
        for receipt in _receipts(receipts):
            opened.verify(Head(receipt.sequence, receipt.digest))
        opened.check_head()
        said = remarks(opened.state())
    for line in said:
        typer.echo(line, err=True)
    typer.echo(f"verified: {found.sequence} events; head {found.sequence}:{found.digest}")


@app.command("fork-proof")
def fork_proof(
    one: Annotated[Path, typer.Argument(metavar="RECEIPTS", help="Of one node: atoll node receipts FOLDER.")],
    other: Annotated[Path, typer.Argument(metavar="RECEIPTS", help="Of another node, or of the same one later.")],
    key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="coordinator.pub or an invitation; without: any one key."),
    ] = None,
) -> None:
    """Compare receipts of two nodes: exit 0 and the two that prove a fork of the coordinator's ledger, or 1 if none do.

    Every signature is verified. Two receipts for one event number with different digests are signed by the coordinator
    and can't both be of one history, so that whoever has them can prove that it told two.

    Example: atoll ledger fork-proof hospital.receipts bank.receipts --key coordinator.pub
    """
    from atoll.cli.fork_proof import find_fork

    proof, line = find_fork(_receipts([one]), _receipts([other]), _coordinator(key))
    typer.echo(line)
    for receipt in proof:
        echo_json(receipt.to_line())
    if not proof:
        raise typer.Exit(1)


def _receipts(paths: "list[Path] | None") -> "list[Receipt]":
    from atoll.errors import FederationError
    from atoll.experts.receipts import Receipt

    found: list[Receipt] = []
    for path in paths or []:
        text = path.read_text("utf-8") if path.is_file() else ""
        try:
            lines = [text] if text.startswith("{\n") else text.splitlines()
            receipts = [Receipt.from_json(line) for line in lines if line.strip()]
        except FederationError as error:
            raise FederationError(f"{path}: holds a line that is no receipt: {error}") from error
        if not receipts:
            raise FederationError(f"{path}: holds no receipts; `atoll node receipts FOLDER` writes them")
        found += receipts
    return found


def _coordinator(path: "Path | None") -> "PublicKey | None":
    from atoll.experts.documents import document_kind
    from atoll.experts.signing import PublicKey
    from atoll.federation.handover import Invitation

    if path is None:
        return None
    if document_kind(path) == Invitation.__name__:
        return PublicKey.from_hex(Invitation.load(path).public_key)
    return PublicKey.load(path)


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
