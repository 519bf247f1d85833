"""What the mobility model promises: causality, an open vocabulary, and scores that may be had in parts."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from atoll.anchors import Anchor
from atoll.anchors.mobility import MobilityArchitecture, MobilityModel
from atoll.anchors.mobility.context import WIDTH, routing_width
from atoll.anchors.mobility.pointer import Pointer
from atoll.errors import AnchorError, DataError

Batch = dict[str, Tensor]
Make = Callable[..., Batch]
MODEST = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
lengths = st.lists(st.integers(1, 9), min_size=1, max_size=3)


@pytest.fixture(scope="module")
def model(toy: Anchor) -> nn.Module:
    return toy.model()


@torch.no_grad()
def logits(model: nn.Module, batch: Batch) -> Tensor:
    found: Tensor = model(**batch).logits
    return found


def up_to(batch: Batch, positions: int) -> Batch:
    return {
        name: value[:, :positions] if value.ndim == 2 and name != "locations" else value
        for name, value in batch.items()
    }


def close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, atol=1e-5)


@MODEST
@given(lengths=lengths, seed=st.integers(0, 99), cut=st.integers(1, 9))
def test_a_later_visit_changes_nothing_before_it(
    model: nn.Module, batch: Make, lengths: list[int], seed: int, cut: int
) -> None:
    whole = batch(lengths, seed=seed)
    assert close(logits(model, up_to(whole, cut)), logits(model, whole)[:, :cut])


@MODEST
@given(lengths=lengths, seed=st.integers(0, 99))
def test_neither_padding_nor_neighbours_change_a_trajectory(
    model: nn.Module, batch: Make, lengths: list[int], seed: int
) -> None:
    whole = batch(lengths, seed=seed)
    found = logits(model, whole)
    for row, length in enumerate(lengths):
        alone = {name: value if name == "locations" else value[row : row + 1] for name, value in whole.items()}
        assert close(logits(model, up_to(alone, length))[0], found[row, :length])


@MODEST
@given(lengths=lengths, seed=st.integers(0, 99))
def test_numbers_of_locations_mean_nothing(model: nn.Module, batch: Make, lengths: list[int], seed: int) -> None:
    whole = batch(lengths, seed=seed)
    order = torch.randperm(len(whole["locations"]), generator=torch.Generator().manual_seed(seed))
    renumbered = {**whole, "location": order.argsort()[whole["location"]], "locations": whole["locations"][order]}
    assert close(logits(model, renumbered), logits(model, whole)[..., order])


@pytest.mark.parametrize("count", [1, 2, 257])
def test_a_city_of_any_size_is_scored(model: nn.Module, batch: Make, count: int) -> None:
    found = logits(model, batch([4, 2], count=count))
    assert found.shape == (2, 4, count)
    assert bool(torch.isfinite(found).all())


def test_scores_of_some_positions_are_those_of_all(model: nn.Module, batch: Make) -> None:
    with torch.no_grad():
        whole = model(**batch([7, 4]))
        parts = [whole.scores(slice(start, start + 3)) for start in range(0, 7, 3)]
        assert close(torch.cat(parts, 1), whole.logits)
        assert close(whole.scores(slice(-1, None)), whole.logits[:, -1:])


def test_visits_so_far_are_scored_as_a_sum_over_them(model: nn.Module, batch: Make) -> None:
    read = batch([6])
    read["location"] = torch.tensor([[3, 5, 3, 3, 8, 5]])
    with torch.no_grad():
        out = model(**read)
        plain, copies = out.states @ out.candidates.T, out.copies
    gained = out.logits.exp() - plain.exp()
    after = [[3], [3, 5], [3, 5], [3, 5], [3, 5, 8], [3, 5, 8]]
    for position, seen in enumerate(after):
        assert sorted((gained[0, position] > 1e-6).nonzero().flatten().tolist()) == seen
    # Entry (t, f) stands for the location that came first at f.
    assert torch.allclose(gained[0, 5, [3, 5, 8]], copies[0, 5, [0, 1, 4]].exp(), rtol=1e-3)
    assert bool((copies[0, 5, [2, 3, 5]] < -1e3).all())


def test_with_all_copies_alike_a_place_counts_as_often_as_it_was_visited() -> None:
    pointer = Pointer(16)
    nn.init.zeros_(pointer.query.weight)
    nn.init.zeros_(pointer.query.bias)
    counted = pointer(torch.randn(1, 6, 16), torch.tensor([[3, 5, 3, 3, 8, 5]])).exp()
    assert torch.allclose(counted[0, 5, [0, 1, 4]], torch.tensor([3.0, 2.0, 1.0]))


def test_scores_in_place_are_those_with_a_gradient(toy: Anchor, batch: Make) -> None:
    model, read = toy.model().requires_grad_(True), batch([5, 3])
    traced = model(**read).logits
    assert close(traced.detach(), logits(model, read))
    traced.logsumexp(-1).sum().backward()
    lacking = [name for name, value in model.named_parameters() if value.grad is None]
    assert not lacking
    assert all(bool(torch.isfinite(p.grad).all()) for p in model.parameters() if p.grad is not None)


def test_extreme_inputs_stay_finite(model: nn.Module, batch: Make) -> None:
    read = batch([5, 5])
    read["locations"][:, :34] *= 1e5
    read["jump"] += 20_000
    read["wait"] += 1e4
    read["radius"] += 1e5
    assert bool(torch.isfinite(logits(model, read)).all())


def test_another_type_of_weights(toy: Anchor, batch: Make) -> None:
    read = batch([5, 3])
    found = logits(toy.model(torch.bfloat16), read)
    assert found.dtype == torch.bfloat16
    assert torch.allclose(found.float(), logits(toy.model(), read), atol=0.1)


def test_routing_features_and_what_was_read_come_from_the_same_arguments(model: nn.Module, batch: Make) -> None:
    read = batch([5, 3])
    features = model.routing_features(**read)  # type: ignore[operator]
    assert features.shape == (2, 5, routing_width(model.architecture.hidden_size))  # type: ignore[arg-type, union-attr]
    assert torch.equal(model.read(**read), read["location"])  # type: ignore[operator]


def test_routers_see_which_city_it_is(model: nn.Module, batch: Make) -> None:
    here, there = batch([5, 3]), batch([5, 3])
    there["locations"] = there["locations"] * 2 + 1
    ours, theirs = (model.routing_features(**read) for read in (here, there))  # type: ignore[operator]
    assert torch.equal(ours[..., :WIDTH], theirs[..., :WIDTH])
    assert torch.equal(ours[..., WIDTH:], ours[0, 0, WIDTH:].expand_as(ours[..., WIDTH:]))
    assert float((ours[..., WIDTH:] - theirs[..., WIDTH:]).abs().max()) > 0.01


def test_a_table_of_another_form_is_refused(model: nn.Module, batch: Make) -> None:
    with pytest.raises(DataError, match=r"shape \(30, 13\): this anchor reads \[n, 71\]"):
        model(**batch([3], pois=5))


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"layers": 0}, "layers is 0"), ({"hidden_size": 18}, "multiple of 8"), ({"heads": 3}, "twice the 3 heads")],
)
def test_forms_that_cannot_be(changes: dict[str, int], message: str) -> None:
    form = {"hidden_size": 16, "layers": 1, "heads": 4, "intermediate_size": 8, **changes}
    with pytest.raises(AnchorError, match=message):
        MobilityArchitecture(**form)


def test_modules_have_the_names_that_experts_target() -> None:
    form = MobilityArchitecture(hidden_size=16, layers=1, heads=2, intermediate_size=8, pois=3)
    names = dict(MobilityModel(form).named_parameters())
    for name in ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj", "self_attn.q_proj", "self_attn.o_proj"):
        assert f"model.layers.0.{name}.weight" in names
