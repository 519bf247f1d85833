"""Router domain: without directions the density is that of a diagonal Gaussian; evidence adds up from left to right."""

import math

import pytest
import torch
from torch.distributions import Normal

from atoll.errors import ConfigError
from atoll.mixture import Descriptor, RoutingContext
from atoll.mixture.routing import stack_rows
from atoll.strategies.route.domain import Domain

WIDTH, SITE = 5, "site"


def described(seed: int) -> Descriptor:
    rng = torch.Generator().manual_seed(seed)
    mean, variance = torch.randn(1, WIDTH, generator=rng), torch.rand(1, WIDTH, generator=rng) + 0.2
    return Descriptor(embedder="toy", samples=100, tokens=1000, sites=(SITE,), mean=mean, variance=variance)


def routed(
    router: Domain, x_BSD: torch.Tensor, allowed: list[bool] | None = None, mask_BS: torch.Tensor | None = None
) -> torch.Tensor:
    frame = described(0)
    rows = [router.row(SITE, frame, frame, {})] + [router.row(SITE, described(seed), frame, {}) for seed in (1, 2)]
    context = RoutingContext(SITE, torch.tensor(allowed or [True] * 3), mask_BS=mask_BS)
    return router.route(stack_rows(rows), x_BSD, context).dense(3).reshape(*x_BSD.shape[:2], 3)


def densities(x_BSD: torch.Tensor) -> torch.Tensor:
    """log N(x; μ_e, (σ²_e + σ²_0) / 2) of each slot, by the library."""
    frame, found = described(0), []
    for seed in range(3):
        each = described(seed)
        pooled = (each.variance[0] + frame.variance[0]).double() / 2
        found.append(Normal(each.mean[0].double(), pooled.sqrt()).log_prob(x_BSD.double()).sum(-1))
    return torch.stack(found, -1)


X = torch.randn(2, 4, WIDTH, generator=torch.Generator().manual_seed(9))


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("anchor", [0.0, 1.5])
def test_weights_are_the_posterior_of_all_that_was_read(temperature: float, anchor: float) -> None:
    found = routed(Domain(temperature=temperature, anchor=anchor), X)
    logits = densities(X).cumsum(1) / temperature + torch.tensor([anchor, 0.0, 0.0])
    assert torch.allclose(found.double(), logits.softmax(-1), atol=1e-5)


def test_what_is_masked_is_no_evidence() -> None:
    mask = torch.tensor([[True, False, True, True], [False, True, True, False]])
    found = routed(Domain(temperature=2.0), X, mask_BS=mask)
    relative = densities(X) - densities(X)[..., :1]
    logits = (relative * mask[..., None]).cumsum(1) / 2.0
    assert torch.allclose(found.double(), logits.softmax(-1), atol=1e-5)


def test_only_allowed_slots_answer() -> None:
    found = routed(Domain(temperature=1.0), X, [True, False, True])
    logits = densities(X).cumsum(1)
    logits[..., 1] = -math.inf
    assert torch.allclose(found.double(), logits.softmax(-1), atol=1e-5)


def test_an_anchor_that_is_left_out_answers_only_alone() -> None:
    router = Domain(temperature=1.0, anchor=-math.inf)
    assert float(routed(router, X)[..., 0].abs().max()) == 0
    assert torch.equal(routed(router, X, [True, False, False])[..., 0], torch.ones(2, 4))


def test_the_k_largest_are_kept() -> None:
    found = routed(Domain(temperature=8.0, k=1), X)
    assert torch.equal((found > 0).sum(-1), torch.ones(2, 4, dtype=torch.long))
    assert torch.allclose(found.sum(-1), torch.ones(2, 4))
    assert torch.equal(found.argmax(-1), densities(X).cumsum(1).argmax(-1))


def test_a_coordinate_that_never_varied_makes_nobody_certain() -> None:
    flat = Descriptor(
        embedder="toy", samples=9, tokens=90, sites=(SITE,), mean=torch.zeros(1, 2), variance=torch.tensor([[0.0, 1.0]])
    )
    row = Domain().row(SITE, flat, flat, {})
    assert float(row["square"][0]) == pytest.approx(-0.5 / (1e-3 * 0.5), rel=1e-4)
    assert float(row["square"][1]) == pytest.approx(-0.5)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_that_cannot_be_is_refused(temperature: float) -> None:
    with pytest.raises(ConfigError, match="temperature"):
        Domain(temperature=temperature)
