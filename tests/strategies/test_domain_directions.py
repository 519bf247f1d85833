"""Router domain with directions: the density is that of the covariance that descriptors tell, and owners may say no."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal

from atoll.anchors.states import describe_states
from atoll.coordinator.config import DescriptorConfig
from atoll.errors import ConfigError, MixtureError, PackageError
from atoll.mixture import Descriptor, RoutingContext
from atoll.mixture.routing import stack_rows
from atoll.strategies.route.domain import Domain

WIDTH, SITE = 6, "site"


class Site(nn.Module):
    """What is read is what enters the site."""

    def __init__(self) -> None:
        super().__init__()
        self.site = nn.Identity()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, x: torch.Tensor, **_: object) -> torch.Tensor:
        found: torch.Tensor = self.site(x)
        return found


def cloud(seed: int, count: int = 4000) -> torch.Tensor:
    """Vectors [count, WIDTH] of mean zero, whose coordinates go together in a way of the seed's."""
    rng = torch.Generator().manual_seed(seed)
    mixing = torch.randn(WIDTH, WIDTH, generator=rng) * torch.tensor([2.0, 1, 0.3, 0.3, 0.3, 0.3])
    spread = torch.randn(count, WIDTH, generator=rng) @ mixing.T
    return spread / spread.std(0)  # every coordinate by itself looks the same


def described(x: torch.Tensor, directions: int = 2) -> Descriptor:
    parts = ((({"x": part[:, None]}), torch.ones(len(part), 1, dtype=torch.bool)) for part in x.split(300))
    return describe_states(Site(), [SITE], parts, directions)


def routed(router: Domain, domains: list[Descriptor], frame: Descriptor, x: torch.Tensor) -> torch.Tensor:
    rows = [router.row(SITE, frame, frame, {})] + [router.row(SITE, each, frame, {}) for each in domains]
    context = RoutingContext(SITE, torch.ones(len(rows), dtype=torch.bool))
    return router.route(stack_rows(rows), x[:, None], context).dense(len(rows))


def test_directions_and_what_they_leave_are_the_covariance() -> None:
    x = cloud(1)
    whole = described(x, WIDTH)
    assert whole.directions is not None
    told = whole.directions[0]
    assert torch.allclose(told.T @ told, torch.cov(x.T, correction=0), atol=1e-3)
    assert told.norm(dim=1).tolist() == sorted(told.norm(dim=1).tolist(), reverse=True)
    plain = described(x, 0)
    assert plain.directions is None
    assert torch.allclose(plain.variance, whole.variance, atol=1e-5)
    assert torch.allclose(plain.mean, whole.mean, atol=1e-6)


def test_a_descriptor_with_directions_survives_its_bytes() -> None:
    made = described(cloud(1))
    read = Descriptor.from_bytes(made.to_bytes())
    assert made.directions is not None
    assert read.directions is not None
    assert torch.equal(read.directions, made.directions)
    with pytest.raises(PackageError, match=r"directions are \(1, 2, 5\), not \[1 sites, R, 6\]"):
        replace(made, directions=torch.zeros(1, 2, 5))


def test_the_density_is_a_gaussians() -> None:
    frame, own = described(cloud(0)), described(cloud(1) + 0.5)
    x = cloud(2, 50)
    found = routed(Domain(temperature=1.0, directions=True), [own], frame, x)
    told = [each.directions[0] for each in (frame, own) if each.directions is not None]
    rest = torch.stack([each.variance[0] - f.square().sum(0) for each, f in zip((frame, own), told, strict=True)])
    densities = []
    for each, factors, left in ((frame, told[0], rest[0]), (own, told[1], rest.mean(0))):
        covariance = torch.diag(left) + factors.T @ factors
        densities.append(MultivariateNormal(each.mean[0].double(), covariance.double()).log_prob(x.double()))
    assert torch.allclose(found.double(), torch.stack(densities, 1).softmax(1), atol=1e-3)


def test_they_tell_domains_apart_whose_coordinates_look_the_same() -> None:
    frame, domains = described(cloud(0)), [described(cloud(seed)) for seed in (1, 2)]
    own = cloud(1, 500)
    with_directions = routed(Domain(temperature=1.0, directions=True), domains, frame, own)[:, 1]
    without = routed(Domain(temperature=1.0), domains, frame, own)[:, 1]
    assert float(without.mean()) < 0.4
    assert float(with_directions.mean()) > 0.6


def test_a_mixture_of_owners_that_tell_other_numbers_of_them_goes_by_the_anchors() -> None:
    frame = described(cloud(0), 3)
    domains = [described(cloud(1), 1), described(cloud(2), 5)]
    assert routed(Domain(directions=True), domains, frame, cloud(3, 10)).shape == (10, 3)


def test_directions_that_are_not_there_are_asked_for() -> None:
    plain = described(cloud(1), 0)
    with pytest.raises(MixtureError, match=r"no directions; train with descriptor\.directions=16"):
        Domain(directions=True).row(SITE, plain, plain, {})
    with pytest.raises(ConfigError, match="do not fit each other"):
        DescriptorConfig().check_serves(Domain(directions=True))
    DescriptorConfig(directions=4).check_serves(Domain(directions=True))
    with pytest.raises(ConfigError, match="directions is -1"):
        DescriptorConfig(directions=-1).check()
