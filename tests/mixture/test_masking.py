"""The promise under everything: an entitlement computes what a mixture of the allowed experts alone computes.

Over every registered router, kind and integrator; new ones are picked up by themselves.
"""

import gc
from dataclasses import dataclass
from functools import cache

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from atoll.anchors import Anchor
from atoll.errors import MixtureError
from atoll.experts.integrator import Integrator
from atoll.experts.package import ExpertPackage
from atoll.mixture import Descriptor, Mixture, Router
from atoll.plugins import build, names
from atoll.testing import toy_anchor, toy_experts, toy_frame

OWNERS = ("archive", "clinic", "court", "yard")
ROUTERS, KINDS, INTEGRATORS = (names(f"atoll.{group}") for group in ("routers", "experts", "integrators"))
MODEST = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
ids = st.lists(st.integers(0, 255), min_size=12, max_size=12).map(lambda tokens: torch.tensor(tokens).view(2, 6))
entitlements = st.sets(st.sampled_from(OWNERS)).map(sorted)


@dataclass(frozen=True)
class World:
    """An anchor with experts of one kind."""

    anchor: Anchor
    model: torch.nn.Module
    frame: Descriptor
    experts: tuple[ExpertPackage, ...]

    def mixture(self, router: str, integrator: str, owners: tuple[str, ...] = OWNERS) -> Mixture:
        chosen = [expert for expert in self.experts if expert.card.owner in owners]
        over: Router = build("atoll.routers", router, {})
        how: Integrator = build("atoll.integrators", integrator, {})
        return how.integrate(self.model, self.frame, chosen, over)


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, World]:
    anchor = toy_anchor(tmp_path_factory.mktemp("anchor"))
    found = {}
    for kind in KINDS:
        experts = toy_experts(anchor, OWNERS, kind)
        found[kind] = World(anchor, anchor.model(), toy_frame(anchor, experts[0].card.sites), tuple(experts))
    return found


@torch.no_grad()
def answer(mixture: Mixture, text: Tensor, entitlement: list[str] | None = None) -> Tensor:
    """Log-probabilities, since an ensemble gives those and a model logits."""
    with mixture.use(entitlement):
        found: Tensor = mixture(input_ids=text).logits.log_softmax(-1)
    return found


@torch.no_grad()
def plain(model: torch.nn.Module, text: Tensor) -> Tensor:
    """What the anchor answers without any mixture."""
    found: Tensor = model(input_ids=text).logits.log_softmax(-1)
    return found


def close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, atol=3e-5, rtol=1e-4)


every = pytest.mark.parametrize(
    ("router", "kind", "integrator"), [(r, k, i) for r in ROUTERS for k in KINDS for i in INTEGRATORS]
)


@every
def test_an_entitlement_is_the_mixture_of_the_allowed_alone(
    worlds: dict[str, World], router: str, kind: str, integrator: str
) -> None:
    world = worlds[kind]
    whole = world.mixture(router, integrator)
    alone = cache(lambda owners: world.mixture(router, integrator, owners))

    @MODEST
    @given(text=ids, allowed=entitlements)
    def holds(text: Tensor, allowed: list[str]) -> None:
        masked = answer(whole, text, allowed)
        if not allowed:
            assert close(masked, plain(world.model, text))
            return
        assert close(masked, answer(alone(tuple(allowed)), text))
        assert close(masked, answer(whole.restrict(allowed), text))

    holds()


@every
def test_nobodys_entitlement_is_the_anchor_to_the_bit(
    worlds: dict[str, World], router: str, kind: str, integrator: str
) -> None:
    world = worlds[kind]
    whole = world.mixture(router, integrator)
    left = whole.restrict([])

    @MODEST
    @given(text=ids)
    def holds(text: Tensor) -> None:
        with torch.no_grad():
            expected = world.model(input_ids=text).logits
            with whole.use([]):
                assert torch.equal(whole(input_ids=text).logits, expected)
            assert torch.equal(left(input_ids=text).logits, expected)

    holds()


@every
def test_what_comes_later_changes_nothing_before(
    worlds: dict[str, World], router: str, kind: str, integrator: str
) -> None:
    whole = worlds[kind].mixture(router, integrator)

    @MODEST
    @given(text=ids, other=ids, cut=st.integers(1, 5))
    def holds(text: Tensor, other: Tensor, cut: int) -> None:
        changed = torch.cat([text[:, :cut], other[:, cut:]], 1)
        assert close(answer(whole, text)[:, :cut], answer(whole, changed)[:, :cut])

    holds()


@every
def test_padding_on_the_right_changes_nothing(
    worlds: dict[str, World], router: str, kind: str, integrator: str
) -> None:
    whole = worlds[kind].mixture(router, integrator)
    text = torch.arange(12).view(2, 6) * 19
    mask = torch.ones(2, 9, dtype=torch.bool)
    mask[:, 6:] = False
    padded = torch.cat([text, torch.full((2, 3), 257)], 1)
    with torch.no_grad(), whole.use(mask_BS=mask) as call:
        found = whole(input_ids=padded).logits.log_softmax(-1)[:, :6]
        shares = call.shares() if call.mass_N is not None else None
    with torch.no_grad(), whole.use() as call:
        expected = whole(input_ids=text).logits.log_softmax(-1)
        assert shares == (pytest.approx(call.shares()) if call.mass_N is not None else None)
    assert close(found, expected)


@pytest.mark.parametrize("router", ROUTERS)
@pytest.mark.parametrize("kind", KINDS)
def test_who_is_not_allowed_gets_no_weight_at_any_site(worlds: dict[str, World], router: str, kind: str) -> None:
    whole = worlds[kind].mixture(router, "flexolmo")
    # A router with such an option says by it whether its weights sum to one; the others always do.
    sums_to_one = getattr(whole.router, "renormalise", True)

    @MODEST
    @given(text=ids, allowed=entitlements)
    def holds(text: Tensor, allowed: list[str]) -> None:
        with torch.no_grad(), whole.use(allowed) as call:
            whole(input_ids=text)
        outside = [slot for slot, owner in enumerate(whole.slots) if slot and owner not in allowed]
        assert call.routing
        for routing in call.routing.values():
            weights = routing.dense(len(whole.slots))
            assert bool((weights >= 0).all())
            assert bool((weights[:, outside] == 0).all())
            assert not sums_to_one or torch.allclose(weights.sum(-1), torch.ones(text.numel()), atol=1e-5)
        assert all(call.shares()[slot] == 0 for slot in outside)
        assert sum(call.shares()) == pytest.approx(1)

    holds()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("integrator", INTEGRATORS)
def test_the_anchor_is_as_it_was_while_it_is_in_a_mixture_and_after(
    worlds: dict[str, World], kind: str, integrator: str
) -> None:
    world, text = worlds[kind], torch.arange(12).view(2, 6)
    model = world.anchor.model()
    before = plain(model, text)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    modules = [(path, type(module)) for path, module in model.named_modules()]
    how: Integrator = build("atoll.integrators", integrator, {})
    mixture = how.integrate(model, world.frame, world.experts, build("atoll.routers", "uniform", {}))
    assert not close(answer(mixture, text), before)
    assert torch.equal(plain(model, text), before)
    del mixture
    gc.collect()
    assert torch.equal(plain(model, text), before)
    assert [(path, type(module)) for path, module in model.named_modules()] == modules
    assert model.state_dict().keys() == weights.keys()
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("kind", KINDS)
def test_two_mixtures_over_one_anchor_do_not_meet(worlds: dict[str, World], kind: str) -> None:
    world, text = worlds[kind], torch.arange(12).view(2, 6)
    first = world.mixture("uniform", "flexolmo")
    expected = answer(first, text)
    second = world.mixture("top-k", "soup", OWNERS[:2])
    assert not close(answer(second, text), expected)
    assert torch.equal(answer(first, text), expected)
    with first.use(["clinic"]) as outer:
        with second.use(["archive"]):
            pass
        with torch.no_grad():
            first(input_ids=text)
        assert outer.shares()[OWNERS.index("archive") + 1] == 0


@pytest.mark.parametrize("integrator", INTEGRATORS)
def test_who_is_not_in_the_mixture_is_named(worlds: dict[str, World], integrator: str) -> None:
    mixture = worlds["lora"].mixture("uniform", integrator)
    with pytest.raises(MixtureError, match="not in this mixture: bank"), mixture.use(["bank", "clinic"]):
        pass
    with pytest.raises(MixtureError, match="nobody was entitled"):
        mixture(input_ids=torch.zeros(1, 2, dtype=torch.int64))
