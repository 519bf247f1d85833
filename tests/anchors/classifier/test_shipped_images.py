"""The image anchor that ships with Atoll: it is there, it is the one that is described, and it has learned."""

import json

import pytest
import torch

from atoll.anchors import Anchor, resolve
from atoll.anchors.resolve import IMAGES
from atoll.benchmarks.anchor.images import FORM, held_out, nearest_mean
from atoll.benchmarks.anchor.pictures import HELD_OUT, LETTERS

DIGEST = "sha256:a52b5cfeb5b1d61a0dceee8c4a486b37227cdf1258f78659fe29a4c175412d42"


@pytest.fixture(scope="module")
def anchor() -> Anchor:
    return resolve(IMAGES)


def test_it_is_found_by_name_and_is_always_the_same(anchor: Anchor) -> None:
    assert (anchor.name, anchor.workload) == ("atoll-images", "images")
    assert anchor.digest == DIGEST
    assert anchor.architecture == FORM


def test_what_is_said_of_it_is_so(anchor: Anchor) -> None:
    recipe = json.loads((anchor.path / "recipe.json").read_text())
    readme = (anchor.path / "README.md").read_text()
    assert recipe["parameters"] == anchor.parameters
    found = held_out(anchor)
    for name, value in recipe["held_out"].items():
        assert found[name] == pytest.approx(value, abs=0.02)
    for said in (f"{anchor.parameters:,}", f"{recipe['classes']} classes", f"{recipe['steps']:,} steps", "89.4 %"):
        assert said in readme
    assert (anchor.path / "model.safetensors").stat().st_size < 1_500_000


def test_it_tells_signs_apart_that_it_was_not_trained_on(anchor: Anchor) -> None:
    found = held_out(anchor)
    assert found["stem"] > 0.8 > 2 * found["pixels"]


def test_no_digit_and_no_sign_that_is_held_out_was_trained_on() -> None:
    assert not [letter for letter in LETTERS if letter.isdigit()]
    assert not set(LETTERS) & set(HELD_OUT)


def test_the_nearest_mean_is_by_cosine() -> None:
    known, labels = torch.tensor([[1.0, 0], [0, 1.0]]), torch.tensor([0, 1])
    asked = torch.tensor([[5.0, 1], [0.1, 0.2], [9.0, 10]])
    assert nearest_mean(known, labels, asked, torch.tensor([0, 1, 0])) == pytest.approx(2 / 3)
