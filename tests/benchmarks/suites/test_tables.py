"""A suite's tables where a figure is undefined: a dash, and a mean that says how many seeds it is over."""

import math
from pathlib import Path

import numpy as np

from atoll.benchmarks.suites.outcome import Outcome
from atoll.benchmarks.suites.record import Done
from atoll.benchmarks.suites.suite import Suite, read_suite
from atoll.benchmarks.suites.tables import final_grid, metrics_grid, summary_grid
from atoll.continual import StreamMatrix

ONE_CASE = ["vary={}", "seeds=[0, 1]", "published={}", "claims=[]"]


def outcome(seed: int, gaps: bool) -> Outcome:
    """Silo b has no figure, and silo a has none with seed 1, where there are gaps."""
    end = [0.5 if seed == 0 or not gaps else math.nan, math.nan if gaps else 0.25]
    values = np.array([[0.1, 0.2], [0.4, 0.2], end])
    matrix = StreamMatrix(metric="heads", higher_is_better=True, stages=(("a",), ("b",)), values=values)
    return Outcome(metrics={"share": 0.5} if seed == 0 or not gaps else {}, streams={"heads": matrix})


def done(suite: Suite) -> list[Done]:
    return [Done(cell=cell, outcome=outcome(cell.seed, cell.method.name == "lucky"), origin={}) for cell in suite.cells]


def test_gaps_are_dashes_and_means_say_how_many_seeds_they_are_over(coins: Path) -> None:
    suite = read_suite(str(coins), ONE_CASE)
    found = done(suite)
    case = found[0].cell.title
    assert final_grid(suite, found, case).rows == (
        ("honest", "0.5000 ± 0.0000", "0.2500 ± 0.0000"),
        ("lucky, much", "0.5000 ± 0.0000 (1 of 2)", "–"),
    )
    assert metrics_grid(suite, found, case).rows == (
        ("honest", "0.5000 ± 0.0000"),
        ("lucky, much", "0.5000 ± 0.0000 (1 of 2)"),
    )
    assert summary_grid(suite, found, case).rows[1][1] == "–"
