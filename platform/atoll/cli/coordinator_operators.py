"""``atoll coordinator operator``: who may operate a coordinator, and confirming what another operator proposed."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="operator",
    epilog="Example: atoll coordinator operator list my-coordinator",
    help="Who may operate it, in which roles, and confirming what another operator proposed.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="The coordinator's folder.")]
Token = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        metavar="FILE",
        help="Your token as an operator; or in ATOLL_OPERATOR_TOKEN. Not needed where no operators are named.",
    ),
]


@app.command()
def add(
    folder: _Folder,
    name: Annotated[str, typer.Argument(metavar="NAME")],
    role: Annotated[list[str], typer.Option(help="read, operate, admit or release; repeatable.")],
    days: Annotated[int, typer.Option(help="How long its token is taken.")] = 90,
    token_file: Token = None,
) -> None:
    """Let an operator act, or give it other roles and a new token, which is printed once and kept nowhere.

    The first one needs the role admit; from then on every command that acts needs a token.

    Example: atoll coordinator operator add coordinator alice --role admit --role release --days 90
    """
    from atoll.coordinator.operators import add_operator
    from atoll.coordinator.server.folder import ServerFolder

    token = add_operator(ServerFolder(folder), name, role, days, token_file)
    typer.echo(f"{name} may act for {days} days; its token, which is shown only now:", err=True)
    typer.echo(token)


@app.command()
def remove(folder: _Folder, name: Annotated[str, typer.Argument(metavar="NAME")], token_file: Token = None) -> None:
    """Let an operator act no more; its token is refused at once, on the status page too.

    Example: atoll coordinator operator remove coordinator alice
    """
    from atoll.coordinator.operators import remove_operator
    from atoll.coordinator.server.folder import ServerFolder

    news = remove_operator(ServerFolder(folder), name, token_file)
    typer.echo(f"{name} is removed" if news else f"there is no operator {name}")


@app.command("list")
def show(folder: _Folder) -> None:
    """Operators with their roles, the last day of their tokens, and acts that wait for a second one.

    Example: atoll coordinator operator list coordinator
    """
    from rich.console import Console

    from atoll.cli.plain import add_row, plain_table
    from atoll.coordinator.server.folder import ServerFolder
    from atoll.ledger.operator_facts import PENDING

    with ServerFolder(folder).open_ledger() as ledger:
        state = ledger.state()
        table = plain_table("Operators", "name", "roles", "until")
        for name, each in sorted(state.operators.items()):
            add_row(table, name, ", ".join(each.roles), each.until)
        waiting = plain_table("Waiting for a second operator", "act", "by", "role", "what", "until")
        for act in state.acts.values():
            if act.standing == PENDING:
                add_row(waiting, act.act, act.operator, act.role, act.what, act.until)
        details = [f"{act.act}: {line}" for act in state.acts.values() for line in act.waiting or []]
    console = Console()
    console.print(table)
    console.print(waiting)
    for line in details:  # what would be written, for whoever confirms it
        console.print(line, markup=False, highlight=False, soft_wrap=True)


@app.command()
def confirm(folder: _Folder, act: Annotated[str, typer.Argument(metavar="ACT")], token_file: Token = None) -> None:
    """Confirm what another operator with the same role proposed; it is done at once.

    Example: atoll coordinator operator confirm coordinator 3f9c02d1a7b4 --token-file bob.token
    """
    from atoll.coordinator.operators import confirm_act
    from atoll.coordinator.server.folder import ServerFolder

    known = confirm_act(ServerFolder(folder), act, token_file)
    typer.echo(f"done: {known.what}, proposed by {known.operator}")
