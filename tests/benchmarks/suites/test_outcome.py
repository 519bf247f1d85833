"""What a cell found, as JSON and back."""

import math
from pathlib import Path

import numpy as np
import pytest

from atoll.benchmarks.suites.outcome import Curve, Outcome
from atoll.continual import StreamMatrix
from atoll.errors import DataError


def test_an_outcome_is_read_as_it_was_written(tmp_path: Path) -> None:
    matrix = StreamMatrix(
        metric="accuracy",
        higher_is_better=True,
        stages=(("a",), ("b",)),
        values=np.array([[0.1, 0.2], [0.9, 0.3], [0.7, 0.8]]),
    )
    made = Outcome(
        metrics={"auroc": 0.9},
        streams={"accuracy": matrix},
        curves={"accuracy": Curve(along="samples", x=[1, 2], y=[0.5, 0.6])},
        costs={"seconds": 3.0},
    )
    made.save(tmp_path / "outcome.json")
    found = Outcome.load(tmp_path / "outcome.json")
    assert found.streams == made.streams
    assert found.curves == made.curves
    assert found.figures() == made.figures()
    assert found.figures()["accuracy/forgetting_max"] == pytest.approx(0.2)
    assert found.figures()["seconds"] == 3.0


def test_what_is_no_figure_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'loss' is nan"):
        Outcome(metrics={"loss": math.nan})
    with pytest.raises(DataError, match="called 'time'"):
        Outcome(costs={"time": 1.0})
    with pytest.raises(DataError, match="2 places and 1 values"):
        Curve(along="samples", x=[1, 2], y=[1])
    (tmp_path / "outcome.json").write_text('{"metrics": {}}')
    with pytest.raises(DataError, match=r"outcome\.json"):
        Outcome.load(tmp_path / "outcome.json")
