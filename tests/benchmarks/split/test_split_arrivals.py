"""Contexts as silos: the same pictures for Atoll, its baselines and Avalanche's strategies."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.benchmarks.avalanche.blobs import needs_avalanche

from atoll.benchmarks.datasets.image_set import ImageSet
from atoll.benchmarks.split import arrivals
from atoll.benchmarks.split.arrivals import SplitArrivals
from atoll.benchmarks.split.routing import told_apart
from atoll.benchmarks.split.vectors import AboveStem, vectors
from atoll.benchmarks.suites.study import Work
from atoll.continual import StreamMatrix
from atoll.coordinator.stream.world import world_of
from atoll.errors import ConfigError
from atoll.federation.units import Choice
from atoll.testing import toy_image_anchor

EACH = 50


def stripes() -> ImageSet:
    """Four classes of 8 × 8 pictures, one bright pair of rows each."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), EACH)
    images = rng.integers(0, 60, (len(labels), 8, 8))
    for image, label in zip(images, labels, strict=True):
        image[2 * label : 2 * label + 2] += 150
    return ImageSet(
        name="stripes",
        classes=("a", "b", "c", "d"),
        images=images.astype(np.uint8),
        labels=labels.astype(np.int64),
        licence="none",
    )


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SplitArrivals:
    monkeypatch.setattr(arrivals, "read_images", lambda name: stripes())
    monkeypatch.setenv("ATOLL_CACHE", str(tmp_path / "cache"))
    toy_image_anchor(tmp_path / "anchor", layers=1)
    return SplitArrivals(anchor=str(tmp_path / "anchor"), steps=30, batch=16, whole_learning_rate=1e-2, replay=16)


def accuracy(study: SplitArrivals, method: str, folder: Path) -> StreamMatrix:
    return study.run(Work(method=Choice(name=method), seed=0, folder=folder)).streams["accuracy"]


def test_a_silo_has_its_pair_of_classes(study: SplitArrivals, tmp_path: Path) -> None:
    config = study.config(seed=3)
    config.check()
    assert [silo.name for silo in config.silos] == ["silo-0-1", "silo-2-3"]
    world = world_of(config, tmp_path / "world")
    stream = vectors(world, "class")
    assert stream.classes == 4
    assert [context.classes for context in stream.contexts] == [(0, 1), (2, 3)]
    sizes = [len(part) for context in stream.contexts for part in (context.train, context.validation, context.test)]
    assert sum(sizes) == 4 * EACH


def test_what_is_above_the_stem_says_what_the_anchor_says(study: SplitArrivals, tmp_path: Path) -> None:
    world = world_of(study.config(seed=0), tmp_path / "world")
    workload, context = world.workloads["silo-0-1"], vectors(world, "class").contexts[0]
    batch = workload.samples("test", workload.evaluation_indices("test"))
    with torch.no_grad():
        whole = world.fresh()(**batch.inputs).logits[:, 0]
        above = AboveStem(world.fresh(), 4)(context.test.tensors()[0])
    assert torch.allclose(whole, above, atol=1e-5)
    assert batch.targets["label"].tolist() == context.test.labels.tolist()


def test_a_domain_is_a_place_in_the_pair(study: SplitArrivals, tmp_path: Path) -> None:
    world = world_of(SplitArrivals(anchor=study.anchor, scenario="domain").config(seed=0), tmp_path / "world")
    stream = vectors(world, "domain")
    assert stream.classes == 2
    assert [context.classes for context in stream.contexts] == [(0, 1), (0, 1)]


def test_an_online_stream_is_seen_once(study: SplitArrivals) -> None:
    config = SplitArrivals(anchor=study.anchor, chunk=10).config(seed=0)
    assert config.training.batch == config.stream.budget.batch == 10
    assert config.training.steps == config.stream.budget.steps == 7
    few = SplitArrivals(anchor=study.anchor, chunk=10, samples=20).config(seed=0)
    assert few.training.steps == 2


def test_baselines_of_atoll_run(study: SplitArrivals, tmp_path: Path) -> None:
    matrix = accuracy(study, "sequential", tmp_path)
    assert matrix.silos == ("silo-0-1", "silo-2-3")
    # The classes that came last are what it answers.
    assert matrix.values[-1, -1] > 0.9
    assert matrix.values[-1, 0] < 0.3


def test_silos_of_other_stripes_are_told_apart(study: SplitArrivals) -> None:
    found = told_apart(study, seed=0)
    # Of two silos a coin tells a half.
    assert found["by a mean for each class"] > 0.8
    assert all(0 <= share <= 1 for share in found.values())


@needs_avalanche
@pytest.mark.slow
def test_avalanches_strategies_run(study: SplitArrivals, tmp_path: Path) -> None:
    none, joint = (accuracy(study, f"avalanche-{name}", tmp_path / name) for name in ("none", "joint"))
    assert none.silos == ("silo-0-1", "silo-2-3")
    assert none.values[-1, 0] < 0.5 < 0.9 < none.values[-1, -1]
    assert joint.values[-1].mean() > none.values[-1].mean() + 0.1


def test_what_cannot_be_is_said() -> None:
    with pytest.raises(ConfigError, match="'task' is none of domain, class"):
        SplitArrivals(scenario="task")
    with pytest.raises(ConfigError, match="'train' is none of validation, test"):
        SplitArrivals(part="train")


def test_methods_have_lines_and_names_of_their_own(study: SplitArrivals) -> None:
    found = study.methods()
    assert {"atoll", "ewc", "avalanche-ewc", "avalanche-none"} <= set(found)
    assert "avalanche-generative-replay" not in found
    assert all(line and "\n" not in line for line in found.values())
