"""A suite's tables, as plain grids that the terminal, the page and documents show."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from atoll.benchmarks.suites.outcome import COSTS
from atoll.benchmarks.suites.published import Agreement, agreement
from atoll.benchmarks.suites.record import Done
from atoll.benchmarks.suites.suite import Suite
from atoll.benchmarks.suites.verdicts import difference, figures

_FIGURES = ("average_final", "forgetting_max", "backward_transfer", "forward_transfer")
_UNITS = {"seconds": 1.0, "bytes_moved": 2**-20, "peak_memory_bytes": 2**-20, "parameters": 1.0}
_HEADINGS = {
    "seconds": "seconds",
    "bytes_moved": "moved, MiB",
    "peak_memory_bytes": "peak memory, MiB",
    "parameters": "parameters",
}


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Attributes: title: Above. columns: Headings. rows: The first cell names the row."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def summary_grid(suite: Suite, done: Sequence[Done], case: str) -> Grid:
    """Every method of a case: the suite's metric, forgetting and transfer where there are stages, and costs."""
    mine = [one for one in done if one.cell.title == case]
    names = _shown(suite, mine)
    rows = _rows(suite, mine, case, names)
    count = len({one.cell.seed for one in mine})
    title = f"{case or suite.config.title}: mean ± standard deviation over {count} seeds"
    return Grid(title=title, columns=("method", *(_HEADINGS.get(name, name) for name in names)), rows=rows)


def final_grid(suite: Suite, done: Sequence[Done], case: str) -> Grid:
    """What every silo, or task, has at the end of the stream that the metric sums up; no columns without one."""
    stream = suite.config.metric.rpartition("/")[0]
    last: dict[str, dict[str, list[float]]] = {}
    for one in done:
        if one.cell.title == case and stream in one.outcome.streams:
            matrix = one.outcome.streams[stream]
            for silo, value in zip(matrix.silos, matrix.values[-1].tolist(), strict=True):
                last.setdefault(silo, {}).setdefault(one.cell.method.title, []).append(value)
    title = f"{case or suite.config.title}: {stream} at the end, by silo"
    rows = tuple(
        (method.title, *(_spread(found.get(method.title, []), stream) for found in last.values()))
        for method in suite.methods
    )
    return Grid(title=title, columns=("method", *last), rows=rows)


def metrics_grid(suite: Suite, done: Sequence[Done], case: str) -> Grid:
    """Every further figure of a case that no summary of a stream holds."""
    mine = [one for one in done if one.cell.title == case]
    names = sorted({name for one in mine for name in one.outcome.metrics} - {suite.config.metric})
    rows = _rows(suite, mine, case, names)
    return Grid(title=f"{case or suite.config.title}: further figures", columns=("method", *names), rows=rows)


def published_grid(suite: Suite, done: Sequence[Done], case: str) -> tuple[Grid, Agreement] | None:
    """The paper's figures beside ours, and whether the order agrees; ``None`` where the paper has none of the case."""
    config = suite.config
    theirs = config.published.of(case)
    found = figures(done, case, config.metric)
    ours = {name: statistics.fmean(values.values()) for name, values in found.items()}
    shared = [name for name in theirs if name in ours]
    if len(shared) < 2:
        return None
    clear = {}
    for place, first in enumerate(shared):
        for second in shared[place + 1 :]:
            made = difference(found, first, second, case, config.metric, higher=True)
            assert made is not None
            low, high = made.spread.low, made.spread.high
            clear[first, second] = low is not None and high is not None and (low > 0 or high < 0)
    compared = agreement(
        theirs, ours, clear, theirs_higher=config.published.higher_is_better, ours_higher=suite.higher_is_better
    )
    ranks = _ranks(theirs, shared, config.published.higher_is_better), _ranks(ours, shared, suite.higher_is_better)
    rows = tuple(
        (
            name,
            f"{theirs[name]:g}",
            str(ranks[0][name]),
            _spread(found[name].values(), config.metric),
            str(ranks[1][name]),
        )
        for name in sorted(shared, key=ranks[0].__getitem__)
    )
    columns = ("method", f"paper: {config.published.metric}", "rank", f"here: {config.metric}", "rank")
    return Grid(title=case or config.title, columns=columns, rows=rows), compared


def agreement_sentence(found: Agreement) -> str:
    """Whether the order is the paper's."""
    said = (
        f"{found.agreeing} of {found.pairs} pairs of methods come in the paper's order; "
        f"{found.clear} pairs are told apart by the seeds (95 % interval of the paired difference)"
    )
    if not found.against:
        return f"{said}, all of them in the paper's order." if found.clear else f"{said}."
    odd = "; ".join(f"{here} before {there}" for there, here in found.against)
    return f"{said}; of these, against the paper: {odd}."


def _rows(suite: Suite, mine: Sequence[Done], case: str, names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """A row for every method, with these figures."""
    found = {name: figures(mine, case, name) for name in names}
    seeds: dict[str, list[int]] = {}
    for one in mine:
        seeds.setdefault(one.cell.method.title, []).append(one.cell.seed)

    def of_seeds(method: str, name: str) -> list[float]:
        there = found[name].get(method, {})
        return [there.get(seed, math.nan) for seed in seeds.get(method, [])]

    return tuple(
        (method.title, *(_spread(of_seeds(method.title, name), name) for name in names)) for method in suite.methods
    )


def _shown(suite: Suite, mine: Sequence[Done]) -> list[str]:
    there = {name for one in mine for name in one.figures}
    metric = suite.config.metric
    stream = metric.rpartition("/")[0]
    wanted = [metric, *(f"{stream}/{name}" for name in _FIGURES if stream), *COSTS]
    return [name for name in dict.fromkeys(wanted) if name in there]


def _spread(values: Iterable[float], name: str) -> str:
    """Mean and standard deviation over the seeds that define the figure; how many, where some do not."""
    there = list(values)
    known = [value * _UNITS.get(name, 1.0) for value in there if math.isfinite(value)]
    if not known:
        return "–"
    mean, digits = statistics.fmean(known), 1 if name in _UNITS else 4
    if name == "parameters":
        return f"{mean:,.0f}"
    over = f" ({len(known)} of {len(there)})" if len(known) < len(there) else ""
    return f"{mean:.{digits}f} ± {statistics.stdev(known) if len(known) > 1 else 0.0:.{digits}f}{over}"


def _ranks(values: dict[str, float], names: Sequence[str], higher: bool) -> dict[str, int]:
    order = sorted(names, key=values.__getitem__, reverse=higher)
    return {name: place for place, name in enumerate(order, 1)}
