"""A suite's report: one HTML page that needs nothing but itself, and its pictures as files."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from atoll.benchmarks.suites.bounds import breaches
from atoll.benchmarks.suites.drawing import draw_case
from atoll.benchmarks.suites.markdown import write_tables
from atoll.benchmarks.suites.record import Done, SuiteFolder
from atoll.benchmarks.suites.suite import Suite, case_title, slug
from atoll.benchmarks.suites.tables import (
    Grid,
    agreement_sentence,
    final_grid,
    metrics_grid,
    published_grid,
    summary_grid,
)
from atoll.benchmarks.suites.verdicts import claims, says
from atoll.coordinator.report.page import Picture, picture_of, rendered, write_page


@dataclass(frozen=True, kw_only=True)
class CasePart:
    """What a page shows of one case.

    Attributes:
        title: Of the case.
        grids: Tables.
        agreement: Whether the paper's order is ours; empty where nothing was published.
        pictures: As parts of the page.
    """

    title: str
    grids: tuple[Grid, ...]
    agreement: str
    pictures: tuple[Picture, ...]


def write_suite_report(folder: SuiteFolder, command: str) -> Path:
    """Write ``report.html``, the PNG files in ``figures``, and ``tables.md``, the page's tables for other documents.

    Args:
        folder: Of the suite.
        command: Arguments of ``atoll bench run`` that go on with it.

    Raises:
        DataError: a cell's files are damaged.
    """
    suite, done = folder.suite, folder.done()
    config = suite.config
    pictures = folder.path / "figures"
    cases = [_part(suite, done, case, pictures) for case in map(case_title, suite.cases)]
    said = [says(one) for one in claims(suite, done)]
    write_tables([grid for case in cases for grid in case.grids], said, folder.path / "tables.md")
    html = rendered(
        files(__package__).joinpath("report.html.j2"),
        title=config.title,
        about=config.about,
        suite=suite.name,
        study=config.study,
        command=command,
        done=len(done),
        cells=len(suite.cells),
        missing=len(suite.cells) - len(done),
        notices=_notices(suite, done),
        claims=[one.split(": ", 1) for one in said],
        shared=_shared(folder, done, pictures),
        cases=cases,
        source=config.published.source,
        note=config.published.note,
        origin=_origin(done),
    )
    return write_page(html, folder.path)


def _part(suite: Suite, done: Sequence[Done], case: str, pictures: Path) -> CasePart:
    further = (final_grid(suite, done, case), metrics_grid(suite, done, case))
    grids = [summary_grid(suite, done, case), *(grid for grid in further if len(grid.columns) > 1)]
    published = published_grid(suite, done, case)
    if published is not None:
        grids.append(published[0])
    drawn = draw_case(suite, done, case, pictures / _folder(case))
    return CasePart(
        title=case or suite.config.title,
        grids=tuple(grids),
        agreement="" if published is None else agreement_sentence(published[1]),
        pictures=tuple(picture_of(picture.path, picture.alt) for picture in drawn),
    )


def _shared(folder: SuiteFolder, done: Sequence[Done], pictures: Path) -> list[Picture]:
    """The study's own pictures, of the first seed."""
    found: dict[str, Path] = {}
    for case in folder.suite.cases if done else ():
        study = folder.suite.study(case)
        target = pictures / _folder(case_title(case)) / "shared"
        target.mkdir(parents=True, exist_ok=True)
        title = case_title(case)
        drawn = study.pictures(folder.suite.config.seeds[0], target)
        found |= {f"{title}: {name}" if title else name: path for name, path in drawn.items()}
    return [picture_of(path, name) for name, path in found.items()]


def _notices(suite: Suite, done: Sequence[Done]) -> list[str]:
    commits = sorted({one.origin.get("commit", "") for one in done})
    said = [f"The cells were run under {len(commits)} commits: {', '.join(commits)}."] if len(commits) > 1 else []
    return said + [f"Out of bounds: {breach}" for breach in breaches(suite, done)]


def _origin(done: Sequence[Done]) -> list[tuple[str, str]]:
    """Commit, machine and versions of all cells together."""
    found: dict[str, set[str]] = {}
    for one in done:
        for name, value in one.origin.items():
            found.setdefault(name, set()).add(value)
    seeds = sorted({one.cell.seed for one in done})
    return [("seeds", ", ".join(map(str, seeds))), *((name, "; ".join(sorted(held))) for name, held in found.items())]


def _folder(case: str) -> str:
    return slug(case) or "all"
