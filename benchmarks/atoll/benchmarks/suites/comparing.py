"""``atoll bench compare``: methods against one of them, or the cells of one run against the same cells of another."""

from atoll.benchmarks.suites.record import SuiteFolder
from atoll.benchmarks.suites.suite import case_title
from atoll.benchmarks.suites.tables import Grid
from atoll.benchmarks.suites.verdicts import Difference, against, difference, figures, holm
from atoll.errors import ConfigError

_COLUMNS = ("method", "better by", "95 % interval", "p", "seeds", "holds")


def method_grids(folder: SuiteFolder, other: str, metric: str, higher: bool) -> list[Grid]:
    """Every method of every case against one.

    Args:
        folder: Of the suite.
        other: Label of that one; the first method if empty.
        metric: A figure.
        higher: Whether a higher one is better.

    Raises:
        ConfigError: no such method, or no such figure.
    """
    suite, done = folder.suite, folder.done()
    titles = [method.title for method in suite.methods]
    other = other or titles[0]
    if other not in titles:
        raise ConfigError(f"suite '{suite.name}' has no method '{other}'; it has {', '.join(titles)}")
    _check(folder, metric)
    return [
        _grid(
            f"{case or suite.config.title}: {metric} against {other}", against(suite, done, case, other, metric, higher)
        )
        for case in map(case_title, suite.cases)
    ]


def run_grids(folder: SuiteFolder, other: SuiteFolder, metric: str, higher: bool) -> list[Grid]:
    """Every method of every case against itself in another run, such as one of an earlier commit.

    Raises:
        ConfigError: no such figure, or nothing is done in the other folder.
    """
    suite, done, before = folder.suite, folder.done(), other.done()
    _check(folder, metric)
    if not before:
        raise ConfigError(f"nothing of suite '{suite.name}' is done in {other.path.parent}: run it there first")
    grids = []
    for case in map(case_title, suite.cases):
        now, then = figures(done, case, metric), figures(before, case, metric)
        made = []
        for name in now.keys() & then.keys():
            pair = {name: now[name], f"{name} then": then[name]}
            one = difference(pair, name, f"{name} then", case, metric, higher)
            made += [one] if one is not None else []
        order = {method.title: place for place, method in enumerate(suite.methods)}
        made.sort(key=lambda one: order[one.better])
        grids.append(_grid(f"{case or suite.config.title}: {metric}, {folder.path} against {other.path}", holm(made)))
    return grids


def _grid(title: str, found: list[Difference]) -> Grid:
    return Grid(title=title, columns=_COLUMNS, rows=tuple(map(_row, found)))


def _row(one: Difference) -> tuple[str, ...]:
    spread = one.spread
    interval = "–" if spread.low is None else f"{spread.low:+.4f} to {spread.high:+.4f}"
    chance = "–" if one.probability is None else f"{one.probability:.3g}"
    return one.better, f"{spread.mean:+.4f}", interval, chance, str(spread.seeds), one.verdict


def _check(folder: SuiteFolder, metric: str) -> None:
    known = sorted({name for one in folder.done() for name in one.figures})
    if metric not in known:
        raise ConfigError(f"suite '{folder.suite.name}' has no figure '{metric}'; there are {', '.join(known)}")
