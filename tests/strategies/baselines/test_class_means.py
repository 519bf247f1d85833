"""Class means over frozen features: the same from sums of parts as from the whole."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.strategies.baselines.watching import run, same, watched

from atoll.continual.baseline import World, measure
from atoll.continual.budget import Budget
from atoll.errors import ConfigError
from atoll.strategies.baselines.class_means import ClassMeans
from atoll.strategies.baselines.discriminant import Sums
from atoll.testing import check_baseline, toy_image_anchor
from atoll.testing.world import Copies
from atoll.workloads.images import Images, ImagesConfig

CLASSES = ["bar", "cross", "dot", "edge"]
OWNERS = ("clinic", "court", "yard")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Three silos of noisy pictures of four classes; the last silo has the last class alone."""
    folder = tmp_path_factory.mktemp("pictures")
    anchor = toy_image_anchor(folder / "anchor")
    silos = {owner: _silo(folder, owner, place) for place, owner in enumerate(OWNERS)}
    workloads = {owner: Images(config, anchor) for owner, config in silos.items()}
    for one in workloads.values():
        one.prepare()
    budget = Budget(steps=4, batch=4, learning_rate=2e-2, warmup=1, replay=16, rounds=2)
    stages = [[owner] for owner in OWNERS]
    return World(
        anchor=anchor.digest, model=Copies(anchor.model()), stages=stages, workloads=workloads, training=budget
    )


def _silo(folder: Path, owner: str, place: int) -> ImagesConfig:
    random = np.random.default_rng(place)
    prototypes = np.random.default_rng(9).integers(0, 256, (4, 8, 8))
    labels = random.integers(0, 3, 80) if place < 2 else np.full(80, 3)
    images = (prototypes[labels] + random.normal(0, 25, (80, 8, 8))).clip(0, 255).astype(np.uint8)
    np.savez(folder / f"{owner}.npz", images=images, labels=labels)
    return ImagesConfig(paths=[str(folder / f"{owner}.npz")], classes=CLASSES, test=0.3)


def test_it_keeps_the_contract_of_baselines(pictures: World) -> None:
    check_baseline(ClassMeans(), pictures)


def test_classes_are_told_apart_once_their_owner_has_come(pictures: World) -> None:
    seen: list[list[float]] = []

    def observe(stage: int, model: torch.nn.Module, owner: str | None = None) -> None:
        seen.append([measure(model, pictures.workloads[one], "test", None, 16)["accuracy"] for one in OWNERS])

    ClassMeans().run(pictures, observe)
    assert min(seen[0][:2]) > 0.9
    assert [row[2] for row in seen[:2]] == [0.0, 0.0]
    assert seen[2][2] > 0.9


def test_the_order_of_arrival_does_not_matter(pictures: World) -> None:
    backwards = run(ClassMeans(), replace(pictures, stages=[[owner] for owner in reversed(OWNERS)]))[-1]
    at_once = run(ClassMeans(), replace(pictures, stages=[list(OWNERS)]))[-1]
    assert backwards.losses == pytest.approx(at_once.losses, rel=1e-4)


def test_every_sample_is_read_once_and_no_seed_matters(pictures: World) -> None:
    reads: list[tuple[str, tuple[int, ...]]] = []
    once = run(ClassMeans(), watched(pictures, reads))
    for owner in OWNERS:
        read = [index for whose, indices in reads if whose == owner for index in indices]
        assert read == pictures.workloads[owner].evaluation_indices("train")
    assert same(once, run(ClassMeans(), replace(pictures, seed=5)))


def test_a_full_shrinkage_takes_the_nearest_mean() -> None:
    random = torch.Generator().manual_seed(0)
    features, labels = torch.randn(60, 5, generator=random), torch.arange(60) % 3
    head = Sums.of(features, labels, 3).head(shrinkage=1.0, doubt=1e-6)
    means = torch.stack([features[labels == one].mean(0) for one in range(3)])
    wanted = torch.cdist(features, means).argmin(-1)
    assert torch.equal(head(features[:, None])[:, 0].argmax(-1), wanted)


def test_it_is_the_linear_discriminant_of_a_library() -> None:
    discriminant = pytest.importorskip("sklearn.discriminant_analysis", reason="scikit-learn is not installed")
    random = torch.Generator().manual_seed(1)
    features, labels = torch.randn(90, 4, generator=random), torch.arange(90) % 3
    features += labels[:, None] * torch.tensor([1.0, 0.5, 0.0, -0.5])
    head = Sums.of(features, labels, 3).head(shrinkage=1e-9, doubt=1e-9)
    known = discriminant.LinearDiscriminantAnalysis(solver="lsqr", priors=[1 / 3] * 3)
    known.fit(features.double().numpy(), labels.numpy())
    found = head(features[:, None])[:, 0].exp()
    # The library divides by N, and here it is N less the classes, as an unbiased estimate is.
    assert torch.equal(found.argmax(-1), torch.from_numpy(known.predict(features.double().numpy())))
    assert found.numpy() == pytest.approx(known.predict_proba(features.double().numpy()), abs=0.02)


@settings(deadline=None)
@given(cut=st.integers(1, 29), seed=st.integers(0, 99))
def test_sums_of_parts_are_the_sums_of_the_whole(cut: int, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    features, labels = torch.randn(30, 4, generator=random), torch.randint(0, 3, (30,), generator=random)
    parts = Sums.of(features[:cut], labels[:cut], 3) + Sums.of(features[cut:], labels[cut:], 3)
    whole = Sums.of(features, labels, 3)
    for one, other in ((parts.count, whole.count), (parts.total, whole.total), (parts.square, whole.square)):
        assert torch.allclose(one, other)


def test_classes_that_nobody_has_shown_are_improbable_and_of_finite_loss() -> None:
    features, labels = torch.randn(20, 3, generator=torch.Generator().manual_seed(0)), torch.arange(20) % 2
    head = Sums.of(features, labels, 4).head(shrinkage=0.1, doubt=0.01)
    found = head(features[:, None])[:, 0].exp()
    assert found.sum(-1).numpy() == pytest.approx(np.ones(20), abs=1e-5)
    assert found[:, 2:].numpy() == pytest.approx(np.full((20, 2), 0.01 / 4), abs=1e-5)
    assert head(features[:, None], torch.tensor([2, 3]))[:, 0].exp().numpy() == pytest.approx(np.full((20, 2), 0.5))
    assert torch.isfinite(Sums.none(4, 3).head(0.5, 0.01)(features[:, None])).all()


def test_data_without_classes_is_refused(world: World) -> None:
    with pytest.raises(ConfigError, match="takes data with classes"):
        run(ClassMeans(), world)


@pytest.mark.parametrize("wrong", [{"shrinkage": 0.0}, {"shrinkage": 1.5}, {"doubt": 0.0}, {"doubt": 1.0}])
def test_options_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="class-means"):
        ClassMeans(**wrong)
