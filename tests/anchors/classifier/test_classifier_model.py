"""What the classifier computes: samples by themselves, features in their place, directions that stay."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from atoll.anchors import Anchor
from atoll.anchors.classifier.head import FixedHead, orthonormal_rows
from atoll.errors import DataError
from atoll.mixture import Mixture
from atoll.plugins import build
from atoll.testing import toy_experts, toy_frame, toy_image_anchor


@pytest.fixture(scope="module")
def anchor(tmp_path_factory: pytest.TempPathFactory) -> Anchor:
    return toy_image_anchor(tmp_path_factory.mktemp("anchor"))


@pytest.fixture(scope="module")
def model(anchor: Anchor) -> nn.Module:
    return anchor.model()


def pictures(count: int = 6) -> torch.Tensor:
    return torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(3))


@given(width=st.integers(2, 40), data=st.data())
def test_directions_are_orthonormal_and_the_first_do_not_depend_on_how_many(width: int, data: st.DataObject) -> None:
    classes = data.draw(st.integers(1, width - 1))
    rows = orthonormal_rows(classes, width)
    assert torch.allclose(rows @ rows.T, torch.eye(classes), atol=1e-5)
    assert torch.allclose(rows.sum(1), torch.zeros(classes), atol=1e-5), "what a stem says has mean zero"
    assert torch.equal(rows[:1], orthonormal_rows(1, width))


def test_scores_are_one_position_of_every_class(model: nn.Module) -> None:
    assert model(pixels=pictures()).logits.shape == (6, 1, 12)
    assert model(pixels=pictures(), use_cache=False, label=torch.zeros(6)).logits.shape == (6, 1, 12)


def test_a_list_of_classes_picks_columns(model: nn.Module) -> None:
    whole = model(pixels=pictures()).logits
    some = model(pixels=pictures(), classes=torch.tensor([4, 0])).logits
    assert torch.allclose(some, whole[..., [4, 0]], atol=1e-6)


def test_a_sample_is_judged_by_itself(model: nn.Module) -> None:
    whole = model(pixels=pictures()).logits
    alone = torch.cat([model(pixels=one[None]).logits for one in pictures()])
    assert torch.allclose(whole, alone, atol=1e-5)


def test_features_in_place_of_samples_give_the_same(model: nn.Module) -> None:
    features = model.get_submodule("stem")(pictures())
    whole = model(pixels=pictures()).logits
    assert torch.equal(model(features=features).logits, whole)
    assert torch.equal(model(features=features[:, None]).logits, whole)


def test_what_a_stem_says_has_one_length(model: nn.Module) -> None:
    features = model.get_submodule("stem")(torch.cat([pictures(), torch.zeros(1, 1, 8, 8)]))
    assert torch.allclose(features.square().sum(1), torch.full((7,), 16.0), atol=1e-2)


def test_logits_are_bounded_by_the_scale(model: nn.Module) -> None:
    assert float(model(pixels=pictures()).logits.abs().max()) <= 4.0


def test_training_all_of_it_leaves_the_head(anchor: Anchor) -> None:
    model = anchor.model().requires_grad_(True)
    head = model.get_submodule("head")
    assert isinstance(head, FixedHead)
    before = head.rows.clone()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    start = model(pixels=pictures()).logits
    start.logsumexp(-1).sum().backward()
    optimizer.step()
    assert torch.equal(head.rows, before)
    assert not torch.allclose(model(pixels=pictures()).logits, start)


def test_samples_of_another_shape_and_no_samples_are_refused(model: nn.Module) -> None:
    with pytest.raises(DataError, match=r"pictures of \(1, 8, 8\) channels and pixels, not \(1, 9, 8\)"):
        model(pixels=torch.rand(2, 1, 9, 8))
    with pytest.raises(DataError, match="neither 'pixels' nor 'features'"):
        model(input_ids=torch.zeros(1, 4))


@pytest.mark.parametrize("kind", ["ffn", "lora"])
@pytest.mark.parametrize("router", ["domain", "top-k", "mobility", "uniform"])
def test_a_mixture_over_it_masks_exactly(anchor: Anchor, kind: str, router: str) -> None:
    experts = toy_experts(anchor, ("clinic", "court", "yard"), kind)
    frame = toy_frame(anchor, experts[0].card.sites)
    made = build("atoll.integrators", "flexolmo", {})
    route = build("atoll.routers", router, {})
    whole: Mixture = made.integrate(anchor.model(), frame, experts, route)
    never: Mixture = made.integrate(anchor.model(), frame, experts[1:], route)
    with whole.use(["court", "yard"]):
        masked = whole(pixels=pictures()).logits
    with never.use():
        assert torch.allclose(masked, never(pixels=pictures()).logits, atol=2e-5)
    with whole.use(()):
        assert torch.allclose(whole(pixels=pictures()).logits, anchor.model()(pixels=pictures()).logits, atol=2e-5)


def test_an_ensemble_weighs_its_models_alike(anchor: Anchor) -> None:
    experts = toy_experts(anchor, ("clinic", "court"), "ffn")
    frame = toy_frame(anchor, experts[0].card.sites)
    route = build("atoll.routers", "top-k", {})
    found = []
    for weighting in ("posterior", "uniform"):
        made = build("atoll.integrators", "ensemble", {"weighting": weighting})
        mixture: Mixture = made.integrate(anchor.model(), frame, experts, route)
        with mixture.use():
            found.append(mixture(pixels=pictures()).logits)
    assert torch.allclose(found[0], found[1], atol=1e-5), "one position leaves nothing that was predicted before"


def test_replay_is_read_by_a_mixture_too(anchor: Anchor, model: nn.Module, tmp_path: Path) -> None:
    experts = toy_experts(anchor, ("clinic", "court"), "ffn")
    frame = toy_frame(anchor, experts[0].card.sites)
    made = build("atoll.integrators", "flexolmo", {})
    mixture: Mixture = made.integrate(anchor.model(), frame, experts, build("atoll.routers", "domain", {}))
    features = model.get_submodule("stem")(pictures())
    with mixture.use():
        from_pixels = mixture(pixels=pictures()).logits
        assert torch.allclose(mixture(features=features).logits, from_pixels, atol=1e-5)
