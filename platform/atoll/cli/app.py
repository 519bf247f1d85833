"""``atoll``: the front door. What a sub-command needs is imported when it is called, so that ``--help`` is quick."""

from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from atoll.cli import anchor, coordinator, data, expert, ledger, mixture
from atoll.cli.commands import add_commands
from atoll.cli.entry import guarded

app = typer.Typer(
    name="atoll",
    help="Data owners train experts apart; a coordinator makes them one mixture; any owner can leave it.",
    epilog="Start with: atoll demo --quick",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
app.add_typer(anchor.app, name="anchor", help="Anchors, as folders: make one for tables, show.")
app.add_typer(coordinator.app, name="coordinator", help="A coordinator that stays up, for its operator.")
app.add_typer(data.app, name="data", help="An owner's data, before training: check.")
app.add_typer(expert.app, name="expert", help="Expert packages, as files: show, verify, pack, unpack.")
app.add_typer(ledger.app, name="ledger", help="What is permitted, by whom, since when: show, verify.")
app.add_typer(mixture.app, name="mixture", help="Mixtures, as folders: build, show, evaluate, generate, export.")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"atoll {version('atoll')}")
        raise typer.Exit


@app.callback()
def _options(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Atoll's version.")
    ] = False,
) -> None:
    """Data owners train experts apart; a coordinator makes them one mixture; any owner can leave it."""


@app.command(epilog="Example: atoll demo --quick --output my-demo")
def demo(
    quick: Annotated[bool, typer.Option(help="Less text and fewer steps: under two minutes.")] = False,
    anchor: Annotated[
        str, typer.Option(help="atoll-3m, smollm2 or the folder of a Llama or Olmo2 model.")
    ] = "atoll-3m",
    output: Annotated[Path | None, typer.Option(help="Run folder; a run that was cut short goes on in it.")] = None,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]…", help="Anything of the run's configuration.")
    ] = None,
) -> None:
    """Four institutions train experts on their own text; one mixture answers for all; one of them withdraws."""
    from atoll.cli.running import run_demo

    run_demo(quick=quick, anchor=anchor, output=output, seed=seed, overrides=overrides or [])


@app.command(epilog="Example: atoll run federation.yaml seed=1 training.steps=400")
def run(
    config: Annotated[Path, typer.Argument(help="YAML file; `atoll demo` writes one into its run folder.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]…", help="Values that go before the file's.")
    ] = None,
    retrain: Annotated[
        list[str] | None,
        typer.Option(metavar="OWNER", help="Train anew although its expert arrived before; repeatable."),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Only look at configuration and data; train nothing.")] = False,
) -> None:
    """Run a federation on this machine, one worker process a silo, from a configuration file.

    Run again in the same folder, it goes on where it was cut short. Where data or settings have changed since, it says
    what, and stops: what arrived under one never counts under another.
    """
    if check:
        from atoll.cli.surveys import run_surveys

        data.show(run_surveys(config, overrides or []))
        return
    from atoll.cli.running import run_config

    run_config(config, overrides or [], retrain or [])


@app.command(epilog="Example: atoll doctor")
def doctor(as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False) -> None:
    """Versions, devices, what is missing, and the command that mends it; exit code 1 if the core does not work."""
    from atoll.cli.doctor import doctor as check

    raise typer.Exit(check(as_json=as_json))


# Last, so that it sees which names are taken.
add_commands(app)


def main() -> None:
    """Entry point of installations that were made before there was :func:`atoll.cli.entry.main`."""
    guarded(app)


if __name__ == "__main__":
    main()
