"""What a silo's data does not define, such as an area under a curve with one class, is a dash and ends nothing."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.coordinator.stream.stream_results import stage, stream_results

from atoll.continual import StreamMatrix
from atoll.coordinator.stream.collect import with_metric
from atoll.coordinator.stream.page import draw, write_stream_report
from atoll.coordinator.stream.results import Method, StreamResults
from atoll.coordinator.stream.tables import methods_grid, silos_grid
from atoll.coordinator.stream.terminal import stream_tables

STAGES = (("alba", "bree"), ("cove",))
SILOS = ("alba", "bree", "cove")


def scores(lacking: tuple[str, ...], *names: str) -> dict[str, StreamMatrix]:
    """Matrices in which some silos have no figure."""
    blank = {name: StreamMatrix.blank(name, STAGES, higher_is_better=True) for name in names}
    values = np.arange(9, dtype=np.float64).reshape(3, 3) / 10
    values[:, [SILOS.index(name) for name in lacking]] = np.nan
    return {name: replace(matrix, values=values) for name, matrix in blank.items()}


def results(*found: dict[str, StreamMatrix]) -> StreamResults:
    methods = [Method(name=str(n), sees="", bound="", scores=each, seconds=(1.0,)) for n, each in enumerate(found)]
    return stream_results("auroc", [stage(*owners) for owners in STAGES], methods)


@pytest.mark.parametrize(
    ("lacking", "pictures"),
    [((), 4), (("bree",), 4), (("alba", "bree"), 4), (SILOS, 1)],
    ids=["none", "one silo", "the first stage", "every silo"],
)
def test_a_stream_is_reported_with_gaps(tmp_path: Path, lacking: tuple[str, ...], pictures: int) -> None:
    """A silo that was left out, or has one class, has no figure at all; the drawing ended the run then."""
    made = results(scores(lacking, "auroc"), scores(lacking, "auroc"))
    drawn = draw(made, tmp_path)
    assert len(drawn) == pictures
    page = write_stream_report(made, drawn, tmp_path).read_text("utf-8")
    assert ">nan" not in page
    assert stream_tables(made)
    made.save(tmp_path / "results.json")
    written = json.loads((tmp_path / "results.json").read_text("utf-8"))["methods"][0]["scores"]["auroc"]["values"]
    assert [value is None for value in written[-1]] == [silo in lacking for silo in SILOS]
    assert methods_grid(StreamResults.load(tmp_path / "results.json")).rows == methods_grid(made).rows


@pytest.mark.parametrize(
    ("lacking", "mean"),
    [((), "0.7000"), (("bree",), "0.7000 (2 of 3)"), (("alba", "bree"), "0.8000 (1 of 3)"), (SILOS, "–")],
    ids=["none", "one silo", "two silos", "every silo"],
)
def test_a_mean_says_how_many_silos_it_is_over(lacking: tuple[str, ...], mean: str) -> None:
    grid = silos_grid(results(scores(lacking, "auroc")), "auroc")
    assert grid.summary == ["mean", mean]
    assert [row[0] for row in grid.rows if row[1] == "–"] == list(lacking)


def test_a_metric_that_no_silo_defines_is_a_row_of_gaps(tmp_path: Path) -> None:
    plain = Method(name="", sees="", bound="", scores=scores((), "accuracy"), seconds=())
    found = with_metric(plain, "auroc", higher_is_better=True)
    assert np.isnan(found.scores["auroc"].values).all()
    made = results(dict(found.scores))
    assert len(draw(made, tmp_path)) == 4
    assert methods_grid(made).rows[0][2] == "–"
    assert with_metric(found, "accuracy", higher_is_better=True) is found
