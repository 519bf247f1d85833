"""Everything that is registered keeps its contract, and the checks see what does not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from atoll.experts.integrator import Integrator
from atoll.experts.lora import Lora
from atoll.experts.package import ExpertPackage
from atoll.mixture import Descriptor, Mixture, Router, Routing, RoutingContext
from atoll.plugins import build, load, names
from atoll.strategies.integrate.flexolmo import FlexOlmo
from atoll.strategies.route.uniform import Uniform
from atoll.testing import check_integrator, check_kind, check_router

ROUTERS, KINDS, INTEGRATORS = (names(f"atoll.{group}") for group in ("routers", "experts", "integrators"))


@pytest.mark.parametrize("name", ROUTERS)
def test_router(name: str) -> None:
    check_router(build("atoll.routers", name, {}))


@pytest.mark.parametrize("name", KINDS)
def test_kind(name: str) -> None:
    check_kind(load("atoll.experts", name)())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", INTEGRATORS)
def test_integrator(name: str, kind: str) -> None:
    check_integrator(build("atoll.integrators", name, {}), build("atoll.routers", "top-k", {}), kind)


@dataclass(frozen=True)
class Broken(Router):
    """A router that breaks one promise."""

    name: ClassVar[str] = "broken"
    how: str = ""

    def row(
        self, site: str, descriptor: Descriptor, anchor: Descriptor, learned: Mapping[str, Tensor]
    ) -> Mapping[str, Tensor]:
        if self.how == "needs what was learned" and descriptor is not anchor:
            return {"row": learned["row"]}
        return {"row": descriptor.at(site)[0]}

    def route(self, state: Mapping[str, Tensor], x_BSD: Tensor, context: RoutingContext) -> Routing:
        logits = x_BSD.flatten(0, 1) @ state["row"].T
        masked = logits.masked_fill(~context.allowed_N, float("-inf"))
        weights = masked.softmax(-1)
        steps = weights.view(*x_BSD.shape[:2], -1)
        slots = torch.arange(weights.shape[1]).expand(weights.shape[0], -1)
        match self.how:
            case "late mask":
                weights = logits.softmax(-1) * context.allowed_N
            case "ignores the entitlement":
                weights = logits.softmax(-1)
            case "looks ahead":
                weights = steps.mean(1, keepdim=True).expand_as(steps).flatten(0, 1)
            case "forgets":
                counts = torch.arange(1, steps.shape[1] + 1)[:, None]
                weights = (steps.cumsum(1) / counts).flatten(0, 1)
            case "counts padding":
                weights = masked.div(1 if context.mask_BS is None else 2).softmax(-1)
            case "negative":
                weights = -weights
            case "not finite":
                weights = weights * float("nan")
            case "twice":
                slots, weights = slots.repeat(1, 2), weights.repeat(1, 2) / 2
            case "out of range":
                slots = slots + 1
            case "double":
                weights = weights.double()
            case "too few":
                slots, weights = slots[1:], weights[1:]
        return Routing(slots, weights)


def test_the_router_of_these_tests_is_sound_until_it_is_broken() -> None:
    check_router(Broken())


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("late mask", "mask before any normalisation"),
        ("ignores the entitlement", "outside the entitlement"),
        ("looks ahead", "a later token"),
        ("forgets", "read in pieces"),
        ("counts padding", "padding on the right"),
        ("negative", "negative"),
        ("not finite", "not finite"),
        ("twice", "one slot twice"),
        ("out of range", "out of range"),
        ("double", "not float32"),
        ("too few", "choices for 15 tokens, not 16"),
    ],
)
def test_a_router_that_breaks_a_promise_is_caught(how: str, told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        check_router(Broken(how=how))


def test_a_router_is_also_tried_on_experts_that_learned_nothing() -> None:
    with pytest.raises(KeyError, match="row"):
        check_router(Broken(how="needs what was learned"))


def test_a_kind_whose_experts_change_in_company_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = Lora.stack

    def forgetful(self: Lora, module: nn.Module, experts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        stacked = stack(self, module, experts)
        if len(experts) > 1:
            stacked["scale"] = stacked["scale"].clone()
            stacked["scale"][-1] = 0
        return stacked

    monkeypatch.setattr(Lora, "stack", forgetful)
    with pytest.raises(AssertionError, match="differently among others"):
        check_kind(Lora())


def test_a_kind_whose_slot_0_is_not_the_anchor_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    mix = Lora.mix

    def shifted(self: Lora, module: nn.Module, stacked: Mapping[str, Tensor], x_TD: Tensor, routing: Routing) -> Tensor:
        return mix(self, module, stacked, x_TD, routing) + 1

    monkeypatch.setattr(Lora, "mix", shifted)
    with pytest.raises(AssertionError, match="slot 0 is not the anchor"):
        check_kind(Lora())


def test_a_kind_that_does_not_sum_by_weight_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    mix = Lora.mix

    def squared(self: Lora, module: nn.Module, stacked: Mapping[str, Tensor], x_TD: Tensor, routing: Routing) -> Tensor:
        return mix(self, module, stacked, x_TD, Routing(routing.slots_TK, routing.weights_TK.square()))

    monkeypatch.setattr(Lora, "mix", squared)
    with pytest.raises(AssertionError, match="weighted sum"):
        check_kind(Lora())


def test_a_kind_whose_average_is_not_its_experts_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def anchors_own(
        self: Lora, module: nn.Module, stacked: Mapping[str, Tensor], x_TD: Tensor, shares_N: Tensor
    ) -> Tensor:
        found: Tensor = module(x_TD)
        return found

    monkeypatch.setattr(Lora, "average", anchors_own)
    with pytest.raises(AssertionError, match="the average"):
        check_kind(Lora())


@dataclass(frozen=True)
class Fitted(Integrator):
    """Says that withdrawal is exact, and breaks one promise."""

    name: ClassVar[str] = "fitted"
    how: str = ""

    def integrate(
        self, anchor: nn.Module, anchor_descriptor: Descriptor, experts: Sequence[ExpertPackage], router: Router
    ) -> Mixture:
        mixture = FlexOlmo().integrate(anchor, anchor_descriptor, experts, router)
        changes = [value for name, value in mixture.named_buffers() if name.endswith(".b")]
        match self.how:
            case "fitted together":
                for value in changes:
                    value.mul_(len(experts))
            case "first come":
                first = mixture.slots.index(experts[0].card.owner) - 1
                for value in changes:
                    value[first].mul_(2)
            case "another anchor":
                head = mixture.model.get_submodule("lm_head")
                head.weight = nn.Parameter(1.5 * head.weight.detach(), requires_grad=False)  # type: ignore[operator]
            case "writes into the anchor":
                with torch.no_grad():
                    anchor.get_parameter("model.embed_tokens.weight")[200] += 1  # a token that no check reads
        return mixture


def test_the_integrator_of_these_tests_is_sound_until_it_is_broken() -> None:
    check_integrator(Fitted(), Uniform())


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("fitted together", "never had"),
        ("first come", "order of arrival"),
        ("another anchor", "nobody allowed"),
        ("writes into the anchor", "changed the anchor"),
    ],
)
def test_an_integrator_that_breaks_a_promise_is_caught(how: str, told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        check_integrator(Fitted(how=how), Uniform())


def test_a_mixture_that_keeps_who_withdrew_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Mixture, "restrict", lambda self, owners: self)
    with pytest.raises(AssertionError, match="restricting differs"):
        check_integrator(FlexOlmo(), Uniform())


@dataclass(frozen=True)
class Fittable(Broken):
    """A router whose class says that its rows can be fitted, and which breaks that one promise."""

    trainable: ClassVar[bool] = True

    def row(
        self, site: str, descriptor: Descriptor, anchor: Descriptor, learned: Mapping[str, Tensor]
    ) -> Mapping[str, Tensor]:
        row = dict(super().row(site, descriptor, anchor, learned))
        if self.how == "width":
            row["width"] = torch.tensor(0.01)
        if self.how == "bound":
            row["bound"] = torch.tensor(float("inf"))
        return row

    def route(self, state: Mapping[str, Tensor], x_BSD: Tensor, context: RoutingContext) -> Routing:
        if self.how == "no grad":
            with torch.no_grad():
                return super().route(state, x_BSD, context)
        found = super().route(state, x_BSD, context)
        if self.how == "width":  # a number of a slot's that is valid as it begins, and not below zero
            scaled = found.weights_TK * (1 + state["width"].sqrt())
            return Routing(found.slots_TK, scaled / scaled.sum(-1, keepdim=True))
        return found


def test_the_fittable_router_of_these_tests_is_sound_until_it_is_broken() -> None:
    check_router(Fittable())


@pytest.mark.parametrize(
    ("how", "told"),
    [("no grad", "no gradient reaches"), ("width", "not finite"), ("bound", "not finite after step 1")],
)
def test_a_router_whose_rows_do_not_bear_fitting_is_caught(how: str, told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        check_router(Fittable(how=how))


@dataclass(frozen=True)
class Unsteady(Broken):
    """A router that is decided by something else than its tokens."""

    def route(self, state: Mapping[str, Tensor], x_BSD: Tensor, context: RoutingContext) -> Routing:
        found = super().route(state, x_BSD, context)
        weights = found.weights_TK
        match self.how:
            case "company":
                weights = (weights + len(x_BSD)) / (weights + len(x_BSD)).sum(-1, keepdim=True)
                weights = weights * context.allowed_N / (weights * context.allowed_N).sum(-1, keepdim=True)
            case "chance":
                weights = weights * torch.rand(()) / weights.sum(-1, keepdim=True)
            case "less":
                weights = weights / 2
            case "more":
                weights = weights * 2
        return Routing(found.slots_TK, weights)


@pytest.mark.parametrize(
    ("how", "told"),
    [("company", "alone than beside"), ("less", "do not sum to one"), ("more", "do not sum to one")],
)
def test_a_router_that_something_else_decides_is_caught(how: str, told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        check_router(Unsteady(how=how))


def test_a_router_that_chance_decides_is_caught() -> None:
    with pytest.raises(AssertionError):
        check_router(Unsteady(how="chance"))
