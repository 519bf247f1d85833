import math
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from atoll.continual import StreamMatrix
from atoll.coordinator.stream.drawing import lines
from atoll.coordinator.stream.figures import (
    accuracy_against_cost,
    accuracy_by_silo,
    error_of_first,
    forgetting_over_stages,
)
from atoll.coordinator.stream.heat_map import heat_map
from atoll.errors import ConfigError, DataError

STAGES = (("alba", "bree"), ("cove",), ("dale",))


def matrix(seed: int, *, metric: str = "accuracy@1", stages: tuple[tuple[str, ...], ...] = STAGES) -> StreamMatrix:
    values = np.random.default_rng(seed).uniform(size=(len(stages) + 1, sum(map(len, stages))))
    return StreamMatrix(metric=metric, higher_is_better=True, stages=stages, values=values)


RUNS = {"replay": [matrix(0), matrix(1), matrix(2)], "FedAvg": [matrix(3), matrix(4), matrix(5)]}
COSTS = {"replay": [(2.0, 0.5), (2.5, 0.6)], "FedAvg": [(1.0, 0.3), (1.2, 0.2)], "joint": [(9.0, 0.4), (9.5, 0.4)]}


def costs(points: dict[str, list[tuple[float, float]]], path: Path) -> Path:
    return accuracy_against_cost(points, path, cost="training time, s", metric="accuracy@1")


def texts(path: Path) -> list[str]:
    """What an SVG says, in the order in which it was drawn."""
    root = ElementTree.fromstring(path.read_text(encoding="utf-8"))
    return ["".join(node.itertext()).strip() for node in root.iter("{http://www.w3.org/2000/svg}text")]


def test_png_and_svg_by_name(tmp_path: Path) -> None:
    png = heat_map(RUNS["replay"][0], tmp_path / "new" / "r.png").read_bytes()
    width, height = struct.unpack(">II", png[16:24])
    assert 1000 <= width <= 2400
    assert 400 <= height <= 2400
    first = heat_map(RUNS["replay"][0], tmp_path / "r.svg").read_bytes()
    assert first == heat_map(RUNS["replay"][0], tmp_path / "again.svg").read_bytes()
    assert first.lstrip().startswith(b"<?xml")
    with pytest.raises(ConfigError, match=r"end the name in \.png or \.svg"):
        heat_map(RUNS["replay"][0], tmp_path / "r.pdf")


def test_the_heat_map_has_every_figure_and_says_what_is_missing(tmp_path: Path) -> None:
    shown = replace(matrix(0), joint=np.full(4, 0.987)).measured(2, {"cove": math.nan})
    said = texts(heat_map(shown, tmp_path / "r.svg", "replay"))
    for value in shown.values.flatten():
        assert ("–" if math.isnan(value) else f"{value:.3f}") in said
    assert said.count("0.987") == 4
    assert {"initial model", "1: + alba, bree", "2: + cove", "joint training", "cove"} <= set(said)
    assert "own model alone" not in said
    assert any(text.startswith("replay, accuracy@1 (higher is better)") for text in said)
    blank = StreamMatrix.blank("loss", STAGES, higher_is_better=False)
    assert texts(heat_map(blank, tmp_path / "blank.svg")).count("–") == 16


@pytest.mark.parametrize("variant", ["forgetting_max", "forgetting_first"])
def test_forgetting_is_named_and_has_the_average_beside_it(tmp_path: Path, variant: str) -> None:
    said = texts(forgetting_over_stages(RUNS, tmp_path / "f.svg", variant))
    assert any(text.startswith(f"{variant}:") for text in said)
    assert any(text.startswith("average over the silos") for text in said)
    assert {"replay", "FedAvg"} <= set(said)
    assert "stage; bands: one standard deviation over 3 seeds" in said


def test_every_silo_has_a_panel(tmp_path: Path) -> None:
    said = texts(accuracy_by_silo({name: runs[:1] for name, runs in RUNS.items()}, tmp_path / "s.svg"))
    assert {"alba", "bree", "cove", "dale", "accuracy@1 (higher is better)"} <= set(said)
    assert not any("bands" in text for text in said)


def test_the_first_silos_error_is_against_arrivals(tmp_path: Path) -> None:
    said = texts(error_of_first(RUNS, tmp_path / "e.svg"))
    assert "What is left of alba, bree as others come" in said
    assert said[:3] == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("figures", "higher_is_better", "ringed"),
    [
        ({"joint": 0.4}, True, ["FedAvg", "replay"]),
        ({"joint": 0.9}, True, ["FedAvg", "replay", "joint"]),
        ({"joint": 0.9}, False, ["FedAvg"]),
        ({"joint": 0.1}, False, ["FedAvg", "joint"]),
        ({"joint": 0.5}, True, ["FedAvg", "replay"]),
        ({"FedAvg": 0.5, "replay": 0.3}, True, ["FedAvg"]),
    ],
)
def test_the_front_is_what_nothing_cheaper_beats(
    tmp_path: Path, figures: dict[str, float], higher_is_better: bool, ringed: list[str]
) -> None:
    costs_of = {"replay": 2.0, "FedAvg": 1.0, "joint": 9.0}
    points = {
        name: [(cost, figures.get(name, {"replay": 0.5, "FedAvg": 0.25, "joint": 0.4}[name]))]
        for name, cost in costs_of.items()
    }
    path = accuracy_against_cost(points, tmp_path / "c.svg", cost="s", metric="m", higher_is_better=higher_is_better)
    assert set(points) <= set(texts(path))
    rings = path.read_text(encoding="utf-8").count("fill-opacity: 0; stroke: #555555")
    assert rings == len(ringed)


def test_costs_have_bars_over_seeds(tmp_path: Path) -> None:
    said = texts(costs(COSTS, tmp_path / "c.svg"))
    assert "Ringed: better than everything cheaper; bars: one standard deviation" in said
    one = {name: found[:1] for name, found in COSTS.items()}
    assert "Ringed: better than everything cheaper" in texts(costs(one, tmp_path / "one.svg"))


@pytest.mark.parametrize("draw", [forgetting_over_stages, accuracy_by_silo, error_of_first])
def test_pictures_show_what_was_measured(
    tmp_path: Path, draw: Callable[[dict[str, list[StreamMatrix]], Path], Path]
) -> None:
    before = draw(RUNS, tmp_path / "before.svg").read_bytes()
    worse = [replace(one, values=one.values * np.array([[1], [1], [0.5], [0.4]])) for one in RUNS["FedAvg"]]
    assert draw({**RUNS, "FedAvg": worse}, tmp_path / "after.svg").read_bytes() != before
    holed = [one.measured(1, {"alba": math.nan}) for one in RUNS["FedAvg"]]
    assert draw({**RUNS, "FedAvg": holed}, tmp_path / "holed.svg").read_bytes() != before
    blank = StreamMatrix.blank("m", [["a"]], higher_is_better=False)
    assert draw({"only": [blank]}, tmp_path / "blank.png").stat().st_size > 1000
    odds: list[dict[str, list[StreamMatrix]]] = [{}, {"replay": []}, {"replay": [matrix(0), matrix(0, metric="loss")]}]
    for odd in odds:
        with pytest.raises(DataError, match="a picture of a stream"):
            draw(odd, tmp_path / "odd.svg")
    with pytest.raises(DataError, match="beside another stream"):
        draw({**RUNS, "LwF": [matrix(0, stages=(("alba",), ("bree",)))]}, tmp_path / "odd.svg")


def test_what_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no forgetting 'forgetting'; there are forgetting_max, forgetting_first"):
        forgetting_over_stages(RUNS, tmp_path / "f.svg", "forgetting")
    refused: list[dict[str, list[tuple[float, float]]]] = [{}, {"replay": []}, {"replay": [(1.0, math.nan)]}]
    for points in refused:
        with pytest.raises(DataError, match="finite cost and figure"):
            costs(points, tmp_path / "c.svg")


def test_names_are_drawn_as_they_are(tmp_path: Path) -> None:
    # A dollar sign would begin mathematics, and the font lacks some of these letters.
    odd = ("$\\frac{$", "病院 🏥\n_{0}", "x" * 300)
    stages = tuple((name,) for name in odd)
    runs = {name: [matrix(n, metric="$^{", stages=stages)] for n, name in enumerate(odd)}
    heat_map(runs[odd[0]][0], tmp_path / "r.png", "$_{")
    forgetting_over_stages(runs, tmp_path / "f.png")
    accuracy_by_silo(runs, tmp_path / "s.png")
    error_of_first(runs, tmp_path / "e.png")
    accuracy_against_cost({name: [(1, 2)] for name in odd}, tmp_path / "c.png", cost="$_{", metric="$^{")
    assert len(list(tmp_path.iterdir())) == 5


def test_no_two_methods_look_alike() -> None:
    many = lines([str(number) for number in range(100)])
    assert len(set(many.values())) == 100
    assert len({(line.colour, line.marker) for line in many.values()}) > 80


def test_matplotlib_stays_out_until_something_is_drawn() -> None:
    code = (
        "import sys; from atoll.coordinator.stream import drawing, figures, heat_map\n"
        "assert 'matplotlib' not in sys.modules\n"
        "drawing.new_figure(2)\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
