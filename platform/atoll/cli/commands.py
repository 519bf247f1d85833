"""Commands that other parts and packages bring along by entry point, such as the institution's ``node``."""

from typing import Annotated

import typer

from atoll.errors import PluginError
from atoll.plugins import entry_of, load, names, package_of

GROUP = "atoll.commands"


def add_commands(app: typer.Typer) -> None:
    """Add what is registered under :data:`GROUP` to the program.

    Typer lets the last of two with one name answer, or a command before a group, and says nothing. Here neither does: a
    name that is taken, by the program or by another package, answers with who claims it, and nothing of theirs is
    imported. All other commands, ``doctor`` among them, go on working.

    Raises:
        PluginError: a package's commands do not import.
    """
    own = {str(each.name or each.callback.__name__) for each in app.registered_commands if each.callback}
    own |= {str(each.name) for each in app.registered_groups}
    for name in names(GROUP):
        try:
            entry = entry_of(GROUP, name)
            if name in own:
                raise PluginError(
                    f"the command '{name}' is the program's own, and the package {package_of(entry)} registers it "
                    f"too ({entry.value}): uninstall that, or let its author give the command another name"
                )
        except PluginError as error:
            _refuse(app, name, error)
            continue
        app.add_typer(load(GROUP, name), name=name)


def _refuse(app: typer.Typer, name: str, error: PluginError) -> None:
    """Put a command in the name's place that says why there is none, whatever its arguments."""
    app.registered_groups = [each for each in app.registered_groups if each.name != name]
    app.registered_commands = [
        each for each in app.registered_commands if name not in (each.name, getattr(each.callback, "__name__", ""))
    ]

    def refused(arguments: Annotated[list[str] | None, typer.Argument(hidden=True)] = None) -> None:
        raise error

    context = {"ignore_unknown_options": True, "help_option_names": []}
    app.command(name, help="Refused: registered twice.", context_settings=context)(refused)
