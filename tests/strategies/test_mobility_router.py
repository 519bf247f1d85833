"""Router ``mobility``: context beside the token, exact masking, and losses over what is no padding."""

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from atoll.anchors.mobility.context import WIDTH
from atoll.errors import ConfigError, MixtureError
from atoll.mixture import ANCHOR_STATES, Descriptor, Routing, RoutingContext
from atoll.strategies.route.mobility import Mobility
from atoll.strategies.route.top_k import TopK

SITE, WIDE, SLOTS, SHAPE = "model.layers.0.mlp", 6, 4, (2, 5)
MODEST = settings(max_examples=40, deadline=None)
seeds = st.integers(0, 10_000)


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def rows(seed: int, slots: int = SLOTS) -> dict[str, Tensor]:
    return {"row": drawn(seed, slots, WIDE), "context": drawn(seed + 1, slots, WIDTH), "bias": drawn(seed + 2, slots)}


def route(
    router: Mobility,
    state: dict[str, Tensor],
    seed: int,
    allowed: Sequence[bool] | None = None,
    *,
    mask: Tensor | None = None,
    features: Tensor | None = None,
) -> Routing:
    permitted = torch.tensor(allowed or [True] * len(state["bias"]))
    features = drawn(seed + 4, *SHAPE, WIDTH) if features is None else features
    context = RoutingContext(SITE, permitted, mask, features_BSC=features)
    return router.route(state, drawn(seed + 3, *SHAPE, WIDE), context)


@MODEST
@given(seed=seeds, k=st.integers(1, 6), allowed=st.lists(st.booleans(), min_size=SLOTS - 1, max_size=SLOTS - 1))
def test_masking_is_as_if_the_others_had_never_been(seed: int, k: int, allowed: list[bool]) -> None:
    kept = [True, *allowed]
    state = rows(seed)
    masked = route(Mobility(k=k), state, seed, kept).dense(SLOTS)
    alone = route(Mobility(k=k), {name: value[torch.tensor(kept)] for name, value in state.items()}, seed)
    assert torch.allclose(masked[:, kept], alone.dense(sum(kept)), atol=1e-6)
    assert float(masked.sum(-1).sub(1).abs().max()) < 1e-5
    assert not masked[:, [not each for each in kept]].any()


@MODEST
@given(seed=seeds)
def test_weights_are_the_softmax_of_token_context_and_bias(seed: int) -> None:
    state = rows(seed)
    found = route(Mobility(k=SLOTS), state, seed).dense(SLOTS)
    x, c = drawn(seed + 3, *SHAPE, WIDE).flatten(0, 1), drawn(seed + 4, *SHAPE, WIDTH).flatten(0, 1)
    logits = x @ state["row"].T + c @ state["context"].T + state["bias"]
    assert torch.allclose(found, logits.softmax(-1), atol=1e-5)
    two = route(Mobility(), state, seed)
    assert torch.equal(two.slots_TK, logits.topk(2).indices)
    assert torch.allclose(two.weights_TK, logits.topk(2).values.softmax(-1), atol=1e-5)


@MODEST
@given(seed=seeds)
def test_without_the_context_nothing_of_it_matters(seed: int) -> None:
    state, plain = rows(seed), Mobility(context=False)
    other = {**state, "context": drawn(seed + 9, SLOTS, WIDTH)}
    changed = drawn(seed + 10, *SHAPE, WIDTH)
    assert torch.equal(route(plain, state, seed).dense(SLOTS), route(plain, other, seed, features=changed).dense(SLOTS))
    assert not torch.equal(
        route(Mobility(), state, seed).dense(SLOTS), route(Mobility(), state, seed, features=changed).dense(SLOTS)
    )


def test_untrained_experts_start_as_top_k_does_and_trained_ones_keep_what_they_learned() -> None:
    router = Mobility(gain=3.0)
    domain, frame = (
        Descriptor(
            embedder=ANCHOR_STATES,
            samples=1,
            tokens=9,
            sites=(SITE,),
            mean=drawn(seed, 1, WIDE),
            variance=drawn(seed, 1, WIDE).abs() + 0.1,
        )
        for seed in (1, 2)
    )
    start = router.row(SITE, domain, frame, {})
    assert torch.equal(start["row"], TopK(gain=3.0).row(SITE, domain, frame, {})["row"])
    assert not start["context"].any()
    assert not start["bias"].any()
    learned = {"row": drawn(5, WIDE), "context": drawn(6, WIDTH), "bias": torch.tensor(-0.5)}
    found = router.row(SITE, domain, frame, learned)
    assert all(torch.equal(found[name], value) for name, value in learned.items())


def test_losses_see_no_padding_and_only_the_allowed() -> None:
    state, mask = rows(7), torch.tensor([[True] * 5, [True, True, False, False, False]])
    x, c = drawn(10, *SHAPE, WIDE), drawn(11, *SHAPE, WIDTH)
    found = route(Mobility(), state, 7, [True, True, False, True], mask=mask).losses
    kept = torch.tensor([0, 1, 3])
    logits = (x @ state["row"].T + c @ state["context"].T + state["bias"])[mask][:, kept]
    assert torch.allclose(found["z"], logits.logsumexp(-1).square().mean())
    shares = torch.stack([(logits.argmax(-1) == slot).float().mean() for slot in range(3)])
    assert torch.allclose(found["balance"], 3 * (shares * logits.softmax(-1).mean(0)).sum())
    even = {name: torch.zeros_like(value) for name, value in state.items()}
    even["context"][:, :SLOTS] = torch.eye(SLOTS) * 50
    turns = torch.eye(WIDTH)[torch.arange(8) % SLOTS].view(2, 4, WIDTH)
    context = RoutingContext(SITE, torch.ones(SLOTS, dtype=torch.bool), features_BSC=turns)
    balanced = Mobility().route(even, torch.zeros(2, 4, WIDE), context).losses["balance"]
    assert float(balanced) == pytest.approx(1.0, abs=1e-4)


def test_losses_train_every_part_of_the_rows() -> None:
    state = {name: value.requires_grad_(True) for name, value in rows(3).items()}
    found = route(Mobility(), state, 3)
    (found.weights_TK.square().sum() + found.losses["z"] + found.losses["balance"]).backward()
    assert all(value.grad is not None and bool(value.grad.any()) for value in state.values())


def test_rows_of_another_width_and_no_slots_at_all_are_refused() -> None:
    with pytest.raises(MixtureError, match="rows for 8 context features, but the anchor gives 5"):
        route(Mobility(), rows(1), 1, features=drawn(2, *SHAPE, 5))
    with pytest.raises(ConfigError, match="k is 0"):
        Mobility(k=0)
