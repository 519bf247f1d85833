"""Replay by class-conditional Gaussians: what is told, what is drawn, and how noisy it may be."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import layer_norm

from atoll.errors import ConfigError, DataError, PackageError
from atoll.replay import Disclosure, NothingToTell, Prior, Teacher
from atoll.strategies.replay.gaussian import Gaussian
from atoll.strategies.replay.moments import isotropic_variance
from atoll.workloads.classification import ClassList, FeatureSpace, LabelledFeatures

WIDTH = 16
SPACE = FeatureSpace(ClassList(("cat", "dog", "owl")), WIDTH)
EXACT = Disclosure(smallest=0)


def owned(count: int = 3000, seed: int = 0, classes: tuple[int, ...] = (0, 1)) -> LabelledFeatures:
    """Vectors around a mean of each class, with spreads of their own."""
    rng = np.random.default_rng(seed)
    label = np.array(classes)[rng.integers(0, len(classes), count)]
    means = np.random.default_rng(5).normal(size=(3, WIDTH)) * 1.5
    spread = np.random.default_rng(6).uniform(0.2, 1.0, WIDTH)
    vectors = torch.from_numpy(means[label] + rng.normal(size=(count, WIDTH)) * spread)
    return LabelledFeatures(layer_norm(vectors, (WIDTH,)).float(), label, np.arange(count))


class Never(nn.Module):
    """A teacher that must not be asked."""

    def forward(self, **_: Any) -> None:
        raise AssertionError("the prior says the classes")


TEACHER = Teacher(Never().eval())


def drawn(replay: Gaussian, private: LabelledFeatures, disclosure: Disclosure = EXACT) -> LabelledFeatures:
    prior = replay.remember(private, SPACE, disclosure)
    found = replay.generate(TEACHER, prior, SPACE, budget=3000, seed=1)
    features = torch.cat([sample["features"] for sample in found])
    return LabelledFeatures(features, torch.stack([sample["label"] for sample in found]).numpy(), np.arange(3000))


@pytest.mark.parametrize("covariance", ["isotropic", "pooled", "diagonal", "full"])
def test_what_is_drawn_is_distributed_as_what_was_remembered(covariance: str) -> None:
    private = owned()
    made = drawn(Gaussian(covariance=covariance), private)
    assert set(made.label.tolist()) == {0, 1}, "nobody has an owl"
    assert abs(float((made.label == 0).mean()) - float((private.label == 0).mean())) < 0.04
    assert torch.allclose(made.features.square().sum(1), torch.full((3000,), float(WIDTH)), atol=0.1)
    for place in (0, 1):
        one, other = private.features[private.label == place], made.features[made.label == place]
        assert float((one.mean(0) - other.mean(0)).abs().max()) < 0.12
        assert float((one.var(0).log() - other.var(0).log()).abs().mean()) < (0.7 if covariance == "isotropic" else 0.4)


def test_a_full_covariance_keeps_what_goes_together() -> None:
    private = owned()
    together = private.features.clone()
    together[:, 1] = together[:, 0]
    private = LabelledFeatures(layer_norm(together, (WIDTH,)), private.label, private.unit)

    def correlation(covariance: str) -> float:
        made = drawn(Gaussian(covariance=covariance), private)
        chosen = made.features[made.label == 0]
        return float(torch.corrcoef(chosen[:, :2].T)[0, 1])

    assert correlation("full") > 0.9
    assert abs(correlation("pooled")) < 0.3


def test_noise_is_of_the_declared_scale() -> None:
    private = owned(400)
    exact = Gaussian().remember(private, SPACE, EXACT)
    off = []
    for secret in range(30):
        noisy = Gaussian().remember(private, SPACE, Disclosure(epsilon=200.0, smallest=0, secret=secret))
        (scale,) = {noisy.declared["mean"].sensitivity / (noisy.declared["mean"].epsilon or 0)}
        count = noisy.tensors["class"].double() * 400
        sums = exact.tensors["mean"].double() * exact.tensors["class"].double()[:, None] * 400
        off.append((noisy.tensors["mean"].double() * count[:, None] - sums)[:2])
        assert noisy.epsilon == pytest.approx(200.0)
    assert scale == pytest.approx(2 * WIDTH / (200 * 0.9))
    assert float(torch.stack(off).abs().mean()) == pytest.approx(scale, rel=0.1)  # of a Laplace distribution


def summed(prior: Prior, name: str, units: int) -> torch.Tensor:
    """The sums by class that a prior's moments were made of."""
    count = units * prior.tensors["class"].double()[:, None]
    mean = prior.tensors["mean"].double()
    if name == "mean":
        return mean * count
    return (prior.tensors[name].double() + mean**2) * count


@pytest.mark.parametrize("name", ["mean", "diagonal"])
def test_one_unit_changes_the_sums_by_no_more_than_is_declared(name: str) -> None:
    private = owned(50)
    for seed in range(5):
        other = LabelledFeatures(private.features.clone(), private.label.copy(), private.unit)
        other.features[7] = 100 * torch.randn(WIDTH, generator=torch.Generator().manual_seed(seed))
        other.label[7] = 1 - private.label[7]
        one, two = (Gaussian(covariance="diagonal").remember(each, SPACE, EXACT) for each in (private, other))
        changed = float((summed(one, name, 50) - summed(two, name, 50)).abs().sum())
        assert WIDTH < changed <= one.declared[name].sensitivity + 1e-3


def test_a_person_with_many_samples_weighs_as_one() -> None:
    private = owned(90, classes=(0,))
    private.label[:60], private.label[60:] = 1, 0
    unit = np.concatenate([np.zeros(60, dtype=np.int64), np.arange(1, 31)])
    prior = Gaussian().remember(LabelledFeatures(private.features, private.label, unit), SPACE, EXACT)
    assert prior.declared["class"].units == 31
    assert prior.tensors["class"].tolist() == pytest.approx([30 / 31, 1 / 31, 0])


def test_a_class_of_too_few_is_not_told() -> None:
    private = owned(200)
    private.label[:2] = 2
    prior = Gaussian(covariance="diagonal").remember(private, SPACE, Disclosure(smallest=3))
    assert prior.tensors["class"][2] == 0
    assert bool((prior.tensors["mean"][2] == 0).all())
    with pytest.raises(NothingToTell):
        Gaussian().remember(private, SPACE, Disclosure(smallest=300))


def test_what_is_not_told_of_a_class_is_not_in_the_pooled_spread_either() -> None:
    private = owned(200)
    private.label[:2] = 2
    loud = LabelledFeatures(private.features.clone(), private.label, private.unit)
    loud.features[:2] = -loud.features[:2]
    for covariance in ("pooled", "full"):
        told = [Gaussian(covariance=covariance).remember(p, SPACE, Disclosure(smallest=3)) for p in (private, loud)]
        assert torch.equal(told[0].tensors[covariance], told[1].tensors[covariance])


def test_noise_on_a_full_covariance_is_refused() -> None:
    with pytest.raises(ConfigError, match="not told with noise; take covariance=isotropic"):
        Gaussian(covariance="full").remember(owned(), SPACE, Disclosure(epsilon=4.0))


def test_noise_on_the_means_does_not_look_like_less_spread() -> None:
    private = owned(3000)
    exact, noisy = (
        isotropic_variance(Gaussian().remember(private, SPACE, told))
        for told in (EXACT, Disclosure(epsilon=1.0, smallest=0, secret=3))
    )
    around = torch.cat([x - x.mean(0) for x in (private.features[private.label == place] for place in (0, 1))])
    assert exact == pytest.approx(float(around.var()), rel=0.02)
    assert noisy == pytest.approx(exact, rel=0.2)


def test_noise_for_a_few_thousand_people_leaves_the_classes_apart() -> None:
    private = owned(4000)
    made = drawn(Gaussian(), private, Disclosure(epsilon=4.0, secret=0))
    means = torch.stack([made.features[made.label == place].mean(0) for place in (0, 1)])
    nearest = torch.cdist(private.features, means).argmin(1).numpy()
    assert float((nearest == private.label).mean()) > 0.95


def test_without_a_prior_the_teacher_says_the_classes() -> None:
    class Second(nn.Module):
        def forward(self, features: torch.Tensor, classes: torch.Tensor) -> Any:
            logits = torch.zeros(len(features), 1, len(classes))
            logits[..., 1] = features[:, :1]
            return type("Output", (), {"logits": logits})

    found = Gaussian().generate(Teacher(Second().eval()), None, SPACE, budget=20, seed=0)
    for sample in found:
        assert int(sample["label"]) == (1 if sample["features"][0, 0] > 0 else 0)


def test_what_does_not_fit_is_refused() -> None:
    replay = Gaussian()
    with pytest.raises(ConfigError, match="covariance is 'round'; it is one of isotropic, pooled, diagonal, full"):
        Gaussian(covariance="round")
    with pytest.raises(DataError, match="no sample"):
        replay.remember(owned(0), SPACE, EXACT)
    with pytest.raises(DataError, match="vectors of width 16, and the anchor's are 8"):
        replay.remember(owned(9), FeatureSpace(SPACE.classes, 8), EXACT)
    with pytest.raises(ConfigError, match="no templates"):
        replay.generate(TEACHER, None, SPACE, budget=1, seed=0, templates=[1])
    prior = replay.remember(owned(9), SPACE, EXACT)
    with pytest.raises(PackageError, match="to be read with"):
        Gaussian(covariance="diagonal").generate(TEACHER, prior, SPACE, budget=1, seed=0)
    with pytest.raises(PackageError, match="is it of this data"):
        replay.generate(TEACHER, prior, FeatureSpace(ClassList(("a", "b")), WIDTH), budget=1, seed=0)
