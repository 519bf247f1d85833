"""``atoll coordinator status``: how a federation stands, from the running coordinator or from its ledger alone."""

from pathlib import Path
from typing import TYPE_CHECKING

from atoll.cli.output import echo_json

if TYPE_CHECKING:
    from rich.console import Console

    from atoll.coordinator.status.values import Snapshot


def show_status(folder: Path, ledger: str | Path, as_json: bool) -> None:
    """Print owners, nodes, experts, releases, work in progress and failures.

    Args:
        folder: The coordinator's, in which a running one leaves word where it is.
        ledger: The ledger's file or database URL, for when none is running.
        as_json: For machines.

    Raises:
        LedgerError: no coordinator is running, and there is no ledger that can be read.
    """
    import typer
    from rich.console import Console

    found, notice = _ask(folder)
    if found is None:
        found = _read(ledger)
        typer.echo(f"{notice}; this is what the ledger says.", err=as_json)
    if as_json:
        echo_json(found.to_json())
        return
    console = Console()
    for line in _heading(found):
        console.print(line, markup=False, highlight=False)
    _print_tables(found, console)


def _ask(folder: Path) -> "tuple[Snapshot | None, str]":
    from atoll.coordinator.status.contact import ask, find_contact
    from atoll.errors import DataError, FederationError

    try:
        contact = find_contact(folder)
        if contact is None:
            return None, "The coordinator is not running"
        return ask(contact), ""
    except (DataError, FederationError, OSError) as error:
        return None, f"The coordinator cannot be asked ({error})"


def _read(ledger: str | Path) -> "Snapshot":
    from atoll.coordinator.status.snapshot import reader
    from atoll.ledger import Ledger

    with Ledger.open(ledger, create=False) as opened:
        return reader(opened, None)()


def _heading(found: "Snapshot") -> list[str]:
    from atoll.coordinator.status.cells import moment_text
    from atoll.coordinator.status.tiles import tiles

    running = "not running" if found.started is None else f"running since {moment_text(found.started)}"
    figures = (f"{name}: {'; '.join((cell.text, *cell.more))}" for name, cell in tiles(found))
    return [f"Coordinator {running}; as of {moment_text(found.at)}", *figures, ""]


def _print_tables(found: "Snapshot", console: "Console") -> None:
    from atoll.cli.plain import add_row, plain_table
    from atoll.coordinator.status.tables import tables

    for table in tables(found):
        if not table.rows:
            console.print(f"{table.title}: {table.empty}", markup=False, highlight=False)
            continue
        printed = plain_table(table.title, *table.columns)
        for row in table.rows:
            add_row(printed, *("\n".join((cell.text, *cell.more)) for cell in row))
        console.print(printed)
