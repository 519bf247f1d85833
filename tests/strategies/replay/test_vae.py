"""Replay by a conditional VAE: what is told, what is drawn, and what noise does."""

import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import layer_norm

from atoll.errors import ConfigError, DataError, PackageError
from atoll.replay import Disclosure, NothingToTell, Prior, Teacher
from atoll.strategies.replay.autoencoder import Form, bounds, gradients
from atoll.strategies.replay.private_steps import Noise, Vectors, least_noise
from atoll.strategies.replay.vae import Vae
from atoll.workloads.classification import ClassList, FeatureSpace, LabelledFeatures

WIDTH = 12
SPACE = FeatureSpace(ClassList(("cat", "dog", "owl")), WIDTH)
EXACT = Disclosure(smallest=0)
SMALL = Vae(code=4, hidden=32, steps=400)


def owned(count: int = 600, classes: tuple[int, ...] = (0, 1)) -> LabelledFeatures:
    """Each class on two sides of its own, which no single normal distribution describes."""
    rng = np.random.default_rng(0)
    label = np.array(classes)[rng.integers(0, len(classes), count)]
    sides = np.random.default_rng(5).normal(size=(3, 2, WIDTH)) * 2
    vectors = sides[label, rng.integers(0, 2, count)] + 0.3 * rng.normal(size=(count, WIDTH))
    return LabelledFeatures(layer_norm(torch.from_numpy(vectors), (WIDTH,)).float(), label, np.arange(count))


class Never(nn.Module):
    """A teacher that must not be asked."""

    def forward(self, **_: Any) -> None:
        raise AssertionError("the prior says the classes")


TEACHER = Teacher(Never().eval())


def test_what_is_drawn_lies_where_what_was_remembered_lies() -> None:
    private = owned()
    found = SMALL.generate(TEACHER, SMALL.remember(private, SPACE, EXACT), SPACE, budget=600, seed=1)
    features, label = torch.cat([one["features"] for one in found]), torch.stack([one["label"] for one in found])
    assert set(label.tolist()) == {0, 1}, "nobody has an owl"
    assert torch.allclose(features.square().sum(1), torch.full((600,), float(WIDTH)), atol=0.1)
    for place in (0, 1):
        mine, other = private.features[private.label == place], private.features[private.label != place]
        made = features[label == place]
        # Both sides of a class are drawn, and the other class is not.
        near = torch.cdist(mine, made).min(1).values
        assert float((near < 1.5).double().mean()) > 0.9
        closest = torch.cdist(made, torch.cat([mine, other])).argmin(1)
        assert float((closest < len(mine)).double().mean()) > 0.95


def test_a_class_of_few_units_is_neither_told_nor_trained_on() -> None:
    private = owned(60, classes=(0, 0, 0, 0, 0, 0, 0, 0, 0, 1))
    few = int((private.label == 1).sum())
    brief, terms = replace(SMALL, steps=20), Disclosure(smallest=few + 1)
    with_few = brief.remember(private, SPACE, terms)
    private.features[torch.from_numpy(private.label == 1)] *= -1
    assert with_few.tensors["class"].tolist() == [1, 0, 0]
    assert brief.remember(private, SPACE, terms).digest == with_few.digest, "what is not told was trained on"
    with pytest.raises(NothingToTell):
        SMALL.remember(private, SPACE, Disclosure(smallest=10_000))


def test_the_declaration_says_that_weights_may_know_single_samples() -> None:
    told = " ".join(replace(SMALL, steps=2).remember(owned(40), SPACE, EXACT).lines())
    assert "by heart" in told
    assert "exact" in told


def test_noise_is_that_of_dp_sgd_and_is_declared_with_its_delta() -> None:
    pytest.importorskip("opacus")
    prior = replace(SMALL, steps=20).remember(owned(300), SPACE, Disclosure(epsilon=4, smallest=0, secret=1))
    declared = prior.declared["decoder"]
    assert prior.epsilon == pytest.approx(4)
    assert 0 < declared.delta < 1 / 300
    assert "DP-SGD" in str(declared)
    assert "by heart" not in str(declared)
    assert Prior.from_bytes(prior.to_bytes()).declared == prior.declared


def test_without_opacus_noise_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opacus.accountants.utils", None)
    with pytest.raises(ConfigError, match=r"atoll\[privacy\]"):
        least_noise(4.0, 1e-5, 0.1, 10)


def test_no_unit_adds_more_than_the_clipping_norm() -> None:
    private = owned(50)
    form = Form(width=WIDTH, classes=3, code=4, hidden=16)
    one_hot = torch.eye(3)[torch.from_numpy(private.label)]

    def step(features: torch.Tensor) -> torch.Tensor:
        vectors = Vectors(vector_ND=features, class_NK=one_hot, unit_N=private.unit, code=4)
        weights = form.fresh(0)
        (found,) = vectors.steps(weights, 1, 1.0, 1.0, Noise(clip=0.5), np.random.default_rng(3))
        return torch.cat([value.flatten() for value in found.values()])

    changed = private.features.clone()
    changed[7] *= 100
    assert float((step(private.features) - step(changed)).norm()) <= 2 * 0.5 + 1e-4


def test_a_step_takes_one_vector_of_a_unit() -> None:
    unit = np.repeat(np.arange(5), 10)
    vectors = Vectors(vector_ND=torch.zeros(50, WIDTH), class_NK=torch.zeros(50, 3), unit_N=unit, code=4)
    rows = vectors._drawn(1.0, np.random.default_rng(0))
    assert sorted(unit[rows]) == [0, 1, 2, 3, 4]
    assert len(vectors._drawn(0.0, np.random.default_rng(0))) == 0


def test_gradients_are_those_of_each_vector_by_itself() -> None:
    form = Form(width=WIDTH, classes=3, code=4, hidden=8)
    weights = form.fresh(0)
    generator = torch.Generator().manual_seed(0)
    x, noise, one_hot = torch.randn(3, WIDTH, generator=generator), torch.randn(3, 4, generator=generator), torch.eye(3)
    found = gradients(weights, x, one_hot, noise)
    for row in range(3):
        for name in weights:
            moved = {key: value.clone().requires_grad_(key == name) for key, value in weights.items()}
            bounds(moved, x[row : row + 1], one_hot[row : row + 1], noise[row : row + 1]).sum().backward()
            assert torch.allclose(found[name][row], moved[name].grad, atol=1e-5)  # type: ignore[arg-type]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(DataError, match="width 12, and the anchor's are 99"):
        SMALL.remember(owned(10), FeatureSpace(SPACE.classes, 99), EXACT)
    with pytest.raises(ConfigError, match="code is 0"):
        Vae(code=0)
    with pytest.raises(ConfigError, match="too large"):
        Vae(hidden=10**7).remember(owned(10), SPACE, EXACT)
    prior = replace(SMALL, steps=1).remember(owned(10), SPACE, EXACT)
    with pytest.raises(PackageError, match="made with"):
        Vae(code=5, hidden=32).generate(TEACHER, prior, SPACE, budget=1, seed=0)
