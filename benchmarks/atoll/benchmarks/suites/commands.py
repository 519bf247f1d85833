"""``atoll bench``: what there is, run it, report it, compare it. Heavy imports wait for the command that needs them."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from atoll.errors import ConfigError, FederationError

if TYPE_CHECKING:
    from atoll.benchmarks.suites.record import SuiteFolder
    from atoll.benchmarks.suites.tables import Grid

app = typer.Typer(
    help="Suites of methods, cases and seeds: list, run, report, compare.",
    epilog="Example: atoll bench list",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
console = Console()

Work = Annotated[Path, typer.Option(help="Folder of all suites' runs and of their tracking store.")]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]…", help="Anything of the suite's file.")]
Quick = Annotated[bool, typer.Option("--quick", help="The suite's quick form: a minute or two.")]
WORK = Path("atoll-runs/bench")


@app.command("list", epilog="Example: atoll bench list three-domains")
def list_suites(
    suite: Annotated[str | None, typer.Argument(help="Show one: its cases, and what its methods are.")] = None,
    work: Work = WORK,
) -> None:
    """What suites there are, and how much of each is done; or the cases and methods of one."""
    from atoll.benchmarks.suites.showing import list_table, study_table, suite_tables

    for table in [list_table(work), study_table()] if suite is None else suite_tables(suite):
        if table is not None:
            console.print(table)


@app.command(epilog="Example: atoll bench run three-domains --jobs 2 'seeds=[0]'")
def run(
    suite: Annotated[str, typer.Argument(help="A name of `atoll bench list`, or a YAML file.")],
    overrides: Overrides = None,
    quick: Quick = False,
    jobs: Annotated[int, typer.Option(min=0, help="Cells at a time; 0 for one a core.")] = 0,
    device: Annotated[str, typer.Option(help="auto takes a GPU where there is one; or cpu, cuda, …")] = "auto",
    work: Work = WORK,
) -> None:
    """Run what is not done yet of a suite; a run that was cut short goes on.

    Exit code 8 if a cell failed or a figure is out of the suite's bounds; what is done is kept.
    """
    from atoll.benchmarks.suites.bounds import breaches
    from atoll.benchmarks.suites.running import run_and_track
    from atoll.benchmarks.suites.verdicts import check_reported
    from atoll.coordinator.tracking import ui_command

    folder = _folder(suite, overrides, quick, work)
    read = folder.suite
    failures = run_and_track(folder, work, jobs=jobs or os.cpu_count() or 1, wanted=device, console=console)
    _show(folder)
    written = folder.write()
    console.print(f"Written: {written[0]}, {written[1].name}", soft_wrap=True)
    console.print(f"Tracked: {ui_command(work)}", soft_wrap=True)
    for failure in failures:
        where = failure.cell.label
        console.print(f"[red]failed:[/] {where}: {failure.reason} ({failure.log})", highlight=False, soft_wrap=True)
    if failures:
        raise FederationError(f"{len(failures)} of {len(read.cells)} cells failed; the same command runs them again")
    done = folder.done()
    check_reported(read, done)
    if found := breaches(read, done):
        raise FederationError("out of recorded bounds: " + "; ".join(map(str, found)))


@app.command(epilog="Example: atoll bench report three-domains")
def report(
    suite: Annotated[str, typer.Argument(help="A name of `atoll bench list`, or a YAML file.")],
    overrides: Overrides = None,
    quick: Quick = False,
    work: Work = WORK,
) -> None:
    """Write one HTML page of what is done, its pictures as PNG files, and its tables as Markdown."""
    from atoll.benchmarks.suites.report import write_suite_report

    folder = _folder(suite, overrides, quick, work)
    _nothing(folder)
    page = write_suite_report(folder, " ".join([suite, *(["--quick"] if quick else []), *(overrides or [])]))
    folder.write()
    _show(folder)
    console.print(f"Report:  {page}\nFigures: {folder.path / 'figures'}", soft_wrap=True)
    console.print(f"Tables:  {folder.path / 'tables.md'}", soft_wrap=True)


@app.command(epilog="Example: atoll bench compare three-domains --against fedavg")
def compare(
    suite: Annotated[str, typer.Argument(help="A name of `atoll bench list`, or a YAML file.")],
    overrides: Overrides = None,
    against: Annotated[str, typer.Option(help="Method that the others are held against; else the first.")] = "",
    metric: Annotated[str, typer.Option(help="Another figure than the suite's metric.")] = "",
    lower_is_better: Annotated[
        bool, typer.Option("--lower-is-better", help="Of the figure given by --metric, where its study does not say.")
    ] = False,
    other: Annotated[
        Path | None, typer.Option("--with", help="Another --work folder: compare the same cells of two runs.")
    ] = None,
    quick: Quick = False,
    work: Work = WORK,
) -> None:
    """Paired differences over seeds, with intervals and a significance test; of methods, or of two runs of a suite."""
    from atoll.benchmarks.suites.comparing import method_grids, run_grids
    from atoll.benchmarks.suites.record import SuiteFolder

    folder = _folder(suite, overrides, quick, work)
    read = folder.suite
    _nothing(folder)
    name = metric or read.config.metric
    said = False if lower_is_better else None
    higher = read.direction(metric, said, "--metric") if metric else read.higher_is_better
    if other is None:
        grids = method_grids(folder, against, name, higher)
    else:
        grids = run_grids(folder, SuiteFolder(other / read.name, read), name, higher)
    for grid in grids:
        console.print(_table(grid))


def _folder(suite: str, overrides: list[str] | None, quick: bool, work: Path) -> "SuiteFolder":
    """The suite that was asked for, and where its cells are."""
    from atoll.benchmarks.suites.record import SuiteFolder
    from atoll.benchmarks.suites.suite import read_suite

    read = read_suite(suite, overrides or [], quick=quick)
    return SuiteFolder(work / read.name, read)


def _show(folder: "SuiteFolder") -> None:
    """The tables of what is done, and the claims."""
    from atoll.benchmarks.suites.suite import case_title
    from atoll.benchmarks.suites.tables import agreement_sentence, published_grid, summary_grid
    from atoll.benchmarks.suites.verdicts import claims, says

    done = folder.done()
    for case in map(case_title, folder.suite.cases):
        console.print(_table(summary_grid(folder.suite, done, case)))
        published = published_grid(folder.suite, done, case)
        if published is not None:
            console.print(_table(published[0]))
            console.print(agreement_sentence(published[1]), highlight=False)
    for one in claims(folder.suite, done):
        console.print(says(one), highlight=False, markup=False)


def _nothing(folder: "SuiteFolder") -> None:
    if not any(map(folder.is_done, folder.suite.cells)):
        raise ConfigError(f"nothing of suite '{folder.suite.name}' is done in {folder.path.parent}: run it first")


def _table(grid: "Grid") -> Table:
    table = Table(title=grid.title, title_justify="left")
    for place, heading in enumerate(grid.columns):
        table.add_column(heading, justify="right" if place else "left")
    for row in grid.rows:
        table.add_row(*row)
    return table
