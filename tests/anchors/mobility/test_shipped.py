"""The mobility anchor that ships with Atoll: it is there, it is the one that is described, and it has learned."""

import json
from functools import partial
from pathlib import Path

import pytest

from atoll.anchors import Anchor, resolve
from atoll.anchors.resolve import MOBILITY
from atoll.benchmarks.anchor.mobility import held_out_place, measure
from atoll.benchmarks.mobility.baselines import most_popular, most_visited, popularity

DIGEST = "sha256:9e0edf724adc783d33bf39f3f5e0f69ac40459db35ce1061685463ad462ca058"


@pytest.fixture(scope="module")
def anchor() -> Anchor:
    return resolve(MOBILITY)


def test_it_is_found_by_name_and_is_always_the_same(anchor: Anchor) -> None:
    assert (anchor.name, anchor.workload) == ("atoll-mobility", "mobility")
    assert anchor.digest == DIGEST


def test_what_is_said_of_it_is_so(anchor: Anchor) -> None:
    folder = Path(anchor.path)
    recipe = json.loads((folder / "recipe.json").read_text())
    readme = (folder / "README.md").read_text()
    assert recipe["parameters"] == anchor.parameters
    assert f"{anchor.parameters:,} parameters" in readme
    for name, by in recipe["held_out"].items():
        locations = int(name.removeprefix("held-out-"))
        for predictor, row in by.items():
            cells = " | ".join(f"{row[metric]:.3f}" for metric in ("accuracy@1", "accuracy@3", "accuracy@5", "mrr"))
            assert f"| {locations:,} | {predictor} | {cells} | {row['loss']:.3f} |" in readme


def test_it_knows_more_of_an_unseen_city_than_what_is_popular_or_was_visited(anchor: Anchor) -> None:
    place, model = held_out_place(600), anchor.model()
    popular = popularity(place.train, place.city.n)
    ours = measure(place, lambda batch: model(**batch).logits, 40)
    for baseline, ahead in ((most_popular, 0.2), (most_visited, 0.01)):
        beside = measure(place, partial(baseline, popular), 40)
        assert ours["accuracy@1"] > beside["accuracy@1"] + ahead
        assert ours["mrr"] > beside["mrr"] + ahead
        assert ours["loss"] < beside["loss"] - 0.5
