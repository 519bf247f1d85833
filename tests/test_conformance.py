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
        return {"row": descriptor.at(site)[0]}

    def route(self, state: Mapping[str, Tensor], x_BSD: Tensor, context: RoutingContext) -> Routing:
        logits = x_BSD.flatten(0, 1) @ state["row"].T
        if self.how == "late mask":
            weights = logits.softmax(-1) * context.allowed_N
        else:
            weights = logits.masked_fill(~context.allowed_N, float("-inf")).softmax(-1)
        if self.how == "looks ahead":
            steps = weights.view(*x_BSD.shape[:2], -1)
            weights = steps.mean(1, keepdim=True).expand_as(steps).flatten(0, 1)
        if self.how == "ignores the entitlement":
            weights = logits.softmax(-1)
        if self.how == "negative":
            weights = -weights
        if self.how == "not finite":
            weights = weights * float("nan")
        return Routing(torch.arange(weights.shape[1]).expand(weights.shape[0], -1), weights)


def test_the_router_of_these_tests_is_sound_until_it_is_broken() -> None:
    check_router(Broken())


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("late mask", "mask before any normalisation"),
        ("looks ahead", "a later token"),
        ("ignores the entitlement", "outside the entitlement"),
        ("negative", "negative"),
        ("not finite", "not finite"),
    ],
)
def test_a_router_that_breaks_a_promise_is_caught(how: str, told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        check_router(Broken(how=how))


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


@dataclass(frozen=True)
class Fitted(Integrator):
    """Bends every expert by how many there are, and says that withdrawal is exact."""

    name: ClassVar[str] = "fitted"

    def integrate(
        self, anchor: nn.Module, anchor_descriptor: Descriptor, experts: Sequence[ExpertPackage], router: Router
    ) -> Mixture:
        mixture = FlexOlmo().integrate(anchor, anchor_descriptor, experts, router)
        for name, value in mixture.named_buffers():
            if name.endswith(".b"):
                value.mul_(len(experts))
        return mixture


def test_an_integrator_that_fits_with_everyone_present_may_not_say_exact() -> None:
    with pytest.raises(AssertionError, match="never had"):
        check_integrator(Fitted(), Uniform())
