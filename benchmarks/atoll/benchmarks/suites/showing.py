"""``atoll bench list``: the library, and one suite in detail."""

import contextlib
from pathlib import Path

from rich.table import Table

from atoll.benchmarks.suites.figure import directions
from atoll.benchmarks.suites.record import SuiteFolder
from atoll.benchmarks.suites.study import GROUP
from atoll.benchmarks.suites.suite import library, read_suite
from atoll.errors import AtollError
from atoll.plugins import load, names


def list_table(work: Path) -> Table:
    """Every suite of the library, its grid, and how many cells are done in the folder ``work``."""
    table = Table(title="Suites; `atoll bench list NAME` says more")
    for heading in ("name", "title", "study", "cases × methods × seeds", "done"):
        narrow = heading in ("name", "done")
        table.add_column(heading, justify="right" if heading == "done" else "left", no_wrap=narrow)
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


def study_table() -> Table | None:
    """Studies that no suite of the library runs: for suites of one's own; ``None`` where there is none."""
    used = set()
    for name in library():
        with contextlib.suppress(AtollError):
            used.add(read_suite(name).config.study)
    table = Table(title="Further studies, for suites of your own: a YAML file that names one")
    table.add_column("study", no_wrap=True)
    table.add_column("what it is")
    for name in names(GROUP):
        if name in used:
            continue
        try:
            told = (load(GROUP, name).__doc__ or "").strip().splitlines()[:1]
        except AtollError as error:
            told = [f"cannot be run here: {error}"]
        table.add_row(name, *told)
    return table if table.row_count else None


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
    about.add_row("metric", f"{suite.config.metric} ({'higher' if suite.higher_is_better else 'lower'} is better)")
    if suite.figures is not None:
        about.add_row("figures", ", ".join(f"{name} ({way})" for name, way in directions(suite.figures).items()))
    about.add_row("quick form", "yes" if suite.config.quick else "no")
    methods = Table(title="Methods")
    for heading in ("label", "method", "options", "what it is"):
        methods.add_column(heading)
    known = suite.study(suite.cases[0]).methods()
    for method in suite.methods:
        methods.add_row(method.title, method.name, str(method.options or ""), known[method.name])
    return [about, methods]
