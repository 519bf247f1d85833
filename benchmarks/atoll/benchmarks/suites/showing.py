"""``atoll bench list``: the library, and one suite in detail."""

from pathlib import Path

from rich.table import Table

from atoll.benchmarks.suites.record import SuiteFolder
from atoll.benchmarks.suites.suite import library, read_suite
from atoll.errors import AtollError


def list_table(work: Path) -> Table:
    """Every suite of the library, its grid, and how many cells are done in the folder ``work``."""
    table = Table(title="Suites; `atoll bench list NAME` says more")
    for heading in ("name", "title", "study", "cases × methods × seeds", "done"):
        table.add_column(heading, justify="right" if heading == "done" else "left")
    for name in library():
        try:
            suite = read_suite(name)
        except AtollError as error:
            table.add_row(name, f"cannot be run here: {error}", "", "", "")
            continue
        folder = SuiteFolder(work / name, suite)
        done = sum(map(folder.is_done, suite.cells))
        grid = f"{len(suite.cases)} × {len(suite.methods)} × {len(suite.config.seeds)}"
        table.add_row(name, suite.config.title, suite.config.study, grid, f"{done} of {len(suite.cells)}")
    return table


def suite_tables(spec: str) -> list[Table]:
    """One suite: what it is about, its cases, and what its methods are.

    Raises:
        ConfigError: no such suite.
    """
    suite = read_suite(spec)
    about = Table(title=suite.config.title, show_header=False)
    about.add_row("about", suite.config.about)
    about.add_row("study", suite.config.study)
    about.add_row("settings", ", ".join(f"{name}={value}" for name, value in suite.config.settings.items()))
    about.add_row("varies", "; ".join(f"{name}: {value}" for name, value in suite.config.vary.items()) or "nothing")
    about.add_row("seeds", ", ".join(map(str, suite.config.seeds)))
    about.add_row("metric", suite.config.metric)
    about.add_row("quick form", "yes" if suite.config.quick else "no")
    methods = Table(title="Methods")
    for heading in ("label", "method", "options", "what it is"):
        methods.add_column(heading)
    known = suite.study(suite.cases[0]).methods()
    for method in suite.methods:
        methods.add_row(method.title, method.name, str(method.options or ""), known[method.name])
    return [about, methods]
