"""Router top-k: rows have the logits that they promise at a domain's mean, and the k largest slots are kept."""

from collections.abc import Mapping

import pytest
import torch

from atoll.errors import ConfigError
from atoll.mixture import Descriptor, RoutingContext
from atoll.mixture.routing import stack_rows
from atoll.strategies.route.top_k import TopK

WIDTH, SITE = 6, "site"


def described(seed: int) -> Descriptor:
    rng = torch.Generator().manual_seed(seed)
    mean, variance = 2 + torch.randn(1, WIDTH, generator=rng), torch.rand(1, WIDTH, generator=rng) + 0.2
    return Descriptor(embedder="toy", samples=100, tokens=1000, sites=(SITE,), mean=mean, variance=variance)


FRAME, DOMAIN = described(0), described(1)


@pytest.mark.parametrize("gain", [1.0, 4.0])
def test_a_row_has_its_gain_at_the_domains_mean_and_nothing_at_the_anchors(gain: float) -> None:
    row = TopK(gain=gain).row(SITE, DOMAIN, FRAME, {})
    own = TopK(gain=gain).row(SITE, FRAME, FRAME, {})
    assert float(row["row"] @ DOMAIN.mean[0]) == pytest.approx(gain, rel=1e-4)
    assert float(row["row"] @ FRAME.mean[0]) == pytest.approx(0.0, abs=1e-4)
    assert float(own["row"] @ FRAME.mean[0]) == pytest.approx(gain / 2, rel=1e-5)
    assert float(row["bias"]) == 0


def test_the_direction_is_the_difference_over_the_pooled_variance() -> None:
    pooled = (DOMAIN.variance[0] + FRAME.variance[0]) / 2
    wanted = (DOMAIN.mean[0] - FRAME.mean[0]) / pooled
    unit = FRAME.mean[0] / FRAME.mean[0].norm()
    wanted = wanted - wanted.dot(unit) * unit
    found = TopK().row(SITE, DOMAIN, FRAME, {})["row"]
    assert torch.allclose(found / found.norm(), wanted / wanted.norm(), atol=1e-5)


def test_flexolmos_own_start_is_the_mean_at_a_length() -> None:
    row = TopK(relative=False, gain=3.0).row(SITE, DOMAIN, FRAME, {})["row"]
    assert torch.allclose(row, 3 * DOMAIN.mean[0] / DOMAIN.mean[0].norm())


def test_a_domain_that_is_the_anchors_gets_a_row_of_zeros() -> None:
    twin = Descriptor(
        embedder="toy",
        samples=100,
        tokens=1000,
        sites=(SITE,),
        mean=FRAME.mean.clone(),
        variance=FRAME.variance.clone(),
    )
    assert not TopK().row(SITE, twin, FRAME, {})["row"].any()


def test_trained_rows_and_biases_are_taken_where_they_are_asked_for() -> None:
    learned = {"row": torch.arange(6.0), "bias": torch.tensor(-2.0)}
    assert torch.equal(TopK().row(SITE, DOMAIN, FRAME, learned)["row"], learned["row"])
    assert float(TopK().row(SITE, DOMAIN, FRAME, learned)["bias"]) == 0
    assert float(TopK(bias=True).row(SITE, DOMAIN, FRAME, learned)["bias"]) == -2
    plain = TopK().row(SITE, DOMAIN, FRAME, {})["row"]
    assert torch.equal(TopK(learned=False).row(SITE, DOMAIN, FRAME, learned)["row"], plain)


@pytest.mark.parametrize("renormalise", [True, False])
@pytest.mark.parametrize("k", [1, 2, 9])
def test_the_largest_probabilities_are_kept(k: int, renormalise: bool) -> None:
    rows: list[Mapping[str, torch.Tensor]] = [
        {"row": torch.randn(WIDTH, generator=torch.Generator().manual_seed(s)), "bias": torch.tensor(s / 4)}
        for s in range(4)
    ]
    x = torch.randn(2, 3, WIDTH, generator=torch.Generator().manual_seed(7))
    allowed = torch.tensor([True, True, False, True])
    found = TopK(k=k, renormalise=renormalise).route(stack_rows(rows), x, RoutingContext(SITE, allowed))
    logits = torch.stack([x.flatten(0, 1) @ row["row"] + row["bias"] for row in rows], 1)
    logits[:, 2] = float("-inf")
    whole = logits.softmax(-1)
    kept = whole * (whole >= whole.sort(-1, descending=True).values[:, min(k, 4) - 1 :][:, :1])
    wanted = kept / kept.sum(-1, keepdim=True) if renormalise else kept
    assert torch.allclose(found.dense(4), wanted, atol=1e-6)
    assert float(found.losses["z"]) == pytest.approx(float(logits.logsumexp(-1).square().mean()), rel=1e-5)


def test_no_slot_at_all_is_refused() -> None:
    with pytest.raises(ConfigError, match="k is 0"):
        TopK(k=0)
    assert TopK(k=1).k == 1
