"""What a model says of its inputs beside the tokens reaches the routers: features, padding, what was read."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from atoll.mixture import Mixture, Router, Routing, RoutingContext
from atoll.plugins import build, names
from atoll.testing import toy_anchor, toy_experts, toy_frame, toy_mobility_anchor

OWNERS = ("east", "north", "west")
COUNT, SHAPE = 20, (3, 6)


@dataclass(frozen=True)
class Recorder(Router):
    """Equal weights, and what it was given."""

    name: ClassVar[str] = "recorder"
    seen: list[RoutingContext] = field(default_factory=list)

    def row(self, site: str, descriptor: object, anchor: object, learned: object) -> dict[str, Tensor]:
        return {"one": torch.ones(())}

    def route(self, state: object, x_BSD: Tensor, context: RoutingContext) -> Routing:
        self.seen.append(context)
        shares = context.allowed_N / context.allowed_N.sum()
        tokens = x_BSD.shape[0] * x_BSD.shape[1]
        return Routing(torch.arange(len(shares)).expand(tokens, -1), shares.expand(tokens, -1))


def trajectories(seed: int = 0, padded: bool = True) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    mask = torch.arange(SHAPE[1]) < torch.tensor([6, 4, 2])[:, None] if padded else torch.ones(SHAPE, dtype=torch.bool)
    pois = torch.rand(COUNT, 68, generator=generator)
    rest = torch.randn(COUNT, 2, generator=generator), torch.randint(1, 9, (COUNT, 1), generator=generator)
    return {
        "location": torch.randint(0, COUNT, SHAPE, generator=generator),
        "day": torch.randint(0, 7, SHAPE, generator=generator),
        "slot": torch.randint(0, 48, SHAPE, generator=generator),
        "wait": 9 * torch.rand(SHAPE, generator=generator),
        "jump": 9 * torch.rand(SHAPE, generator=generator),
        "radius": 5 * torch.rand(3, generator=generator),
        "entropy": 2 * torch.rand(3, generator=generator),
        "mask": mask,
        "locations": torch.cat([pois, *rest], 1),
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mobility")


def mixed(folder: Path, router: Router, kind: str = "ffn", integrator: str = "flexolmo") -> tuple[nn.Module, Mixture]:
    anchor = toy_mobility_anchor(folder)
    experts = toy_experts(anchor, OWNERS, kind)
    model = anchor.model()
    how = build("atoll.integrators", integrator, {})
    return model, how.integrate(model, toy_frame(anchor, experts[0].card.sites), experts, router)


@torch.no_grad()
def test_features_and_padding_come_from_each_forward_pass(folder: Path) -> None:
    router = Recorder()
    model, mixture = mixed(folder, router)
    with mixture.use() as call:
        for read in (trajectories(0), trajectories(1, padded=False)):
            router.seen.clear()
            mixture(**read)
            expected = model.routing_features(**read)  # type: ignore[operator]
            assert len(router.seen) == 2
            for context in router.seen:
                assert context.features_BSC is not None
                assert context.mask_BS is not None
                assert torch.equal(context.features_BSC, expected)
                assert torch.equal(context.mask_BS, read["mask"])
                assert context.text_BS is None
        assert call.mass_N is not None
        assert float(call.mass_N.sum()) == pytest.approx(2 * (12 + 18))  # sites and what was no padding


@torch.no_grad()
def test_a_mask_that_was_given_stays(folder: Path) -> None:
    router = Recorder()
    _, mixture = mixed(folder, router)
    given = torch.zeros(SHAPE, dtype=torch.bool)
    given[:, 0] = True
    with mixture.use(mask_BS=given):
        for seed in (0, 1):
            mixture(**trajectories(seed))
    assert all(context.mask_BS is not None and torch.equal(context.mask_BS, given) for context in router.seen)


@torch.no_grad()
def test_a_language_model_gives_no_features_and_the_mask_that_it_was_given(tmp_path: Path) -> None:
    anchor = toy_anchor(tmp_path)
    experts = toy_experts(anchor, OWNERS, "ffn")
    router = Recorder()
    how = build("atoll.integrators", "flexolmo", {})
    mixture = how.integrate(anchor.model(), toy_frame(anchor, experts[0].card.sites), experts, router)
    ids = torch.tensor([[3, 4, 5]])
    with mixture.use() as call:
        mixture(input_ids=ids, attention_mask=torch.ones_like(ids))
        states = torch.randn(1, 3, anchor.hidden_size)
        call.text_BS = ids + 1
        mixture(inputs_embeds=states)
    assert all(context.features_BSC is None for context in router.seen)
    masks = [context.mask_BS for context in router.seen]
    assert [mask is None for mask in masks] == [False, False, True, True]
    assert all(bool(mask.all()) for mask in masks if mask is not None)
    assert [int(context.text_BS[0, 0]) for context in router.seen if context.text_BS is not None] == [3, 3, 4, 4]


@pytest.mark.parametrize("integrator", names("atoll.integrators"))
@pytest.mark.parametrize("kind", names("atoll.experts"))
@torch.no_grad()
def test_an_entitlement_over_a_mobility_anchor_is_the_mixture_of_the_allowed_alone(
    folder: Path, kind: str, integrator: str
) -> None:
    model, whole = mixed(folder, build("atoll.routers", "mobility", {}), kind, integrator)
    read = trajectories(2)
    alone = whole.restrict(["east", "west"])
    with alone.use():
        expected = alone(**read).logits.log_softmax(-1)
    with whole.use(["east", "west"]):
        assert torch.allclose(whole(**read).logits.log_softmax(-1)[read["mask"]], expected[read["mask"]], atol=3e-5)
    with whole.use([]):
        assert torch.equal(whole(**read).logits, model(**read).logits)
    with whole.use():
        assert not torch.allclose(whole(**read).logits.log_softmax(-1), expected, atol=1e-3)


@torch.no_grad()
def test_an_ensembles_posterior_rests_on_the_visits(folder: Path) -> None:
    _, ensemble = mixed(folder, Recorder(), "ffn", "ensemble")
    read = trajectories(3, padded=False)
    with ensemble.use():
        first = ensemble(**read).logits
    other = {**read, "location": read["location"].clone()}
    other["location"][:, 3:] = (other["location"][:, 3:] + 1) % COUNT
    with ensemble.use():
        assert torch.allclose(ensemble(**other).logits[:, :3], first[:, :3], atol=1e-5)
    assert torch.allclose(first.exp().sum(-1), torch.ones(SHAPE), atol=1e-4)
