"""Run a suite of streams over seeds; print and write a table of all methods, and draw them."""

import argparse
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from atoll.benchmarks.provenance import provenance
from atoll.benchmarks.stream import cities, texts
from atoll.benchmarks.stream.cells import by_variant, grid, run_cells
from atoll.benchmarks.stream.targets import Methods, summaries, verdicts
from atoll.coordinator.config import RunConfig
from atoll.coordinator.stream.figures import (
    accuracy_against_cost,
    accuracy_by_silo,
    error_of_first,
    forgetting_over_stages,
)
from atoll.coordinator.stream.results import ATOLL, Method, StreamResults

_ANCHOR = "anchor"
_FIGURES = ("average_final", "share_of_joint", "forgetting_max", "backward_transfer")


def main() -> None:
    """Run, print, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suite", choices=["mobility", "text"])
    parser.add_argument("--locations", type=Path, default=Path("../shared/data/city-locations"))
    parser.add_argument("--work", type=Path, default=Path("atoll-runs/streams"))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--variants", nargs="+", help="only these, of the suite's ablations")
    parser.add_argument("--users", type=int, default=2000)
    parser.add_argument("--days", type=int, default=9)
    parser.add_argument("--steps", type=int, help="of an arrival; 300 for mobility, 60 for text")
    parser.add_argument("--split", choices=["validation", "test"], default="test")
    args = parser.parse_args()
    mobility = args.suite == "mobility"
    args.steps = args.steps or (300 if mobility else 60)
    known: Mapping[str, Callable[[RunConfig], RunConfig]] = cities.VARIANTS if mobility else texts.VARIANTS

    def base(seed: int) -> RunConfig:
        if mobility:
            return cities.cities(
                args.locations, seed, users=args.users, days=args.days, steps=args.steps, split=args.split
            )
        return texts.texts(seed, steps=args.steps, split=args.split)

    if unknown := sorted(set(args.variants or ()) - set(known)):
        parser.error(f"there is no variant '{unknown[0]}'; there are {', '.join(known)}")
    # The first has the baselines, and everything is measured against it.
    wanted = set(known) if args.variants is None else {ATOLL, *args.variants}
    variants = {name: change for name, change in known.items() if name in wanted}
    root = args.work / args.suite
    found = by_variant(run_cells(grid(variants, args.seeds, base), root, args.jobs))
    methods = every_method(found)
    metric = next(iter(found.values()))[0].metric
    figures = ["accuracy@1", "accuracy@3", "accuracy@5"] if mobility else ["loss"]
    console = Console(width=160)
    console.print(summary_table(methods, metric))
    for figure in figures:
        console.print(silo_table(methods, figure))
    console.print(cost_table(methods))
    found_out = verdicts(methods, metric, list(variants))
    for line in found_out:
        console.print(line)
    draw(methods, metric, root / "figures")
    record = {"settings": {name: str(value) for name, value in vars(args).items()}, **provenance()}
    record["verdicts"] = found_out
    record["methods"] = {name: [_record(run, metric) for run in runs] for name, runs in methods.items()}
    (root / "results.json").write_text(json.dumps(record, indent=1) + "\n")
    console.print(f"Written: {root / 'results.json'}, {root / 'figures'}")


def every_method(found: Mapping[str, Sequence[StreamResults]]) -> dict[str, list[Method]]:
    """Ablations and baselines side by side; the baselines were run with the first variant.

    Joint training and local models are references of all, by seed.
    """
    first = next(iter(found.values()))
    methods = {name: [results.stream for results in runs] for name, runs in found.items()}
    for place in range(1, len(first[0].methods)):
        methods[first[0].methods[place].name] = [results.methods[place] for results in first]
    return methods


def summary_table(methods: Methods, metric: str) -> Table:
    """Average, share of joint training, forgetting and backward transfer; mean ± standard deviation over seeds."""
    table = Table(title=f"{metric}, mean ± standard deviation over {len(methods[ATOLL])} seeds")
    for heading in ("method", "sees of others", "average", "of joint, %", "forgetting (max)", "BWT", "s an arrival"):
        table.add_column(heading, justify="left" if heading in ("method", "sees of others") else "right")
    for name, found in summaries(methods, metric).items():
        runs = methods[name]
        cells = [
            _spread([each.figures()[figure] for each in found.values()], 100 if figure == "share_of_joint" else 1)
            for figure in _FIGURES
        ]
        seconds = _spread([statistics.fmean(run.seconds) for run in runs], 1, digits=1)
        table.add_row(name, runs[0].sees, *cells, seconds)
    return table


def silo_table(methods: Methods, figure: str) -> Table:
    """One figure of every silo after the last stage."""
    silos = methods[ATOLL][0].scores[figure].silos
    table = Table(title=f"{figure} after the last stage, and of the anchor, mean ± standard deviation over seeds")
    table.add_column("method")
    for silo in silos:
        table.add_column(silo, justify="right")
    rows = {_ANCHOR: [run.scores[figure].values[0] for run in methods[ATOLL]]}
    rows |= {name: [run.scores[figure].values[-1] for run in runs] for name, runs in methods.items()}
    for name, last in rows.items():
        table.add_row(name, *(_spread([float(row[place]) for row in last], 1) for place in range(len(silos))))
    return table


def cost_table(methods: Methods) -> Table:
    """Seconds of training and integration of every arrival, which is to grow with the city and not with the stage."""
    stages = methods[ATOLL][0].scores["loss"].stages
    table = Table(title="Seconds of an arrival, mean ± standard deviation over seeds")
    table.add_column("method")
    for number, stage in enumerate(stages, 1):
        table.add_column(f"{number}: {', '.join(stage)}", justify="right")
    for name, runs in methods.items():
        if len(runs[0].seconds) == len(stages) and name != "joint":
            columns = zip(*(run.seconds for run in runs), strict=True)
            table.add_row(name, *(_spread(list(column), 1, digits=1) for column in columns))
    return table


def draw(methods: Methods, metric: str, folder: Path) -> None:
    """The pictures of the suite; joint training has no stages, and so no lines."""
    folder.mkdir(parents=True, exist_ok=True)
    runs = {name: [run.scores[metric] for run in found] for name, found in methods.items() if name != "joint"}
    forgetting_over_stages(runs, folder / "forgetting.png")
    accuracy_by_silo(runs, folder / "silos.png")
    error_of_first(runs, folder / "first.png")
    points = {
        name: [(statistics.fmean(run.seconds), float(run.scores[metric].values[-1].mean())) for run in found]
        for name, found in methods.items()
    }
    better = methods[ATOLL][0].scores[metric].higher_is_better
    cost = "training and integration of one arrival, s"
    accuracy_against_cost(points, folder / "cost.png", cost=cost, metric=metric, higher_is_better=better)


def _record(run: Method, metric: str) -> dict[str, object]:
    last = {figure: matrix.values[-1].tolist() for figure, matrix in run.scores.items()}
    return {"last": last, "seconds": list(run.seconds), "matrix": json.loads(run.scores[metric].to_json())}


def _spread(values: Sequence[float | None], scale: float, digits: int = 3) -> str:
    known = [scale * value for value in values if value is not None]
    if not known or len(known) < len(values):
        return "–"
    digits = 1 if scale != 1 else digits
    deviation = statistics.stdev(known) if len(known) > 1 else 0.0
    return f"{statistics.fmean(known):.{digits}f} ± {deviation:.{digits}f}"
