import math

import pytest
import torch
from torch import Tensor

from atoll.errors import ConfigError, MixtureError
from atoll.mixture import Descriptor, RoutingContext
from atoll.mixture.routing import stack_rows
from atoll.strategies.route.naive_bayes import NaiveBayes

SITE = "model.layers.0.mlp"
PUBLIC = [0.4, 0.3, 0.2, 0.1]
OWNERS = [[0.1, 0.1, 0.4, 0.4], [0.7, 0.1, 0.1, 0.1]]
TEXT = torch.tensor([[2, 3, 0, 0], [0, 1, 2, 3]])


def descriptor(shares: list[float] | None) -> Descriptor:
    unigram = None if shares is None else torch.tensor(shares)
    ones = torch.ones(1, 2)
    return Descriptor(
        embedder="anchor-states", samples=9, tokens=10**9, sites=(SITE,), mean=ones, variance=ones, unigram=unigram
    )


def state(router: NaiveBayes, owners: list[list[float]]) -> dict[str, Tensor]:
    frame = descriptor(PUBLIC)
    rows = [router.row(SITE, frame, frame, {}), *(router.row(SITE, descriptor(own), frame, {}) for own in owners)]
    return stack_rows([dict(row) for row in rows])


def weights(
    router: NaiveBayes,
    text: Tensor = TEXT,
    owners: list[list[float]] = OWNERS,
    allowed: list[bool] | None = None,
    mask: Tensor | None = None,
    memory: dict[str, Tensor] | None = None,
) -> Tensor:
    slots = len(owners) + 1
    context = RoutingContext(SITE, torch.tensor(allowed or [True] * slots), mask, text, memory)
    routing = router.route(state(router, owners), torch.zeros(*text.shape, 2), context)
    return routing.dense(slots).view(*text.shape, slots)


def test_weights_are_the_posterior_of_the_text_so_far() -> None:
    router = NaiveBayes(smoothing=0.5, temperature=2.0, anchor=-1.0)
    found = weights(router)
    mixed = [PUBLIC, *([0.5 * own + 0.5 * public for own, public in zip(o, PUBLIC, strict=True)] for o in OWNERS)]
    for row, tokens in enumerate(TEXT.tolist()):
        for position in range(len(tokens)):
            seen = tokens[: position + 1]
            logs = [sum(math.log(p[t] / PUBLIC[t]) for t in seen) / 2.0 for p in mixed]
            logs[0] -= 1.0
            odds = torch.tensor(logs).softmax(0)
            assert found[row, position].tolist() == pytest.approx(odds.tolist(), abs=1e-5)


def test_an_owner_without_consent_leaves_the_others_as_if_it_had_never_been() -> None:
    router = NaiveBayes()
    masked = weights(router, allowed=[True, False, True])
    assert bool((masked[..., 1] == 0).all())
    assert torch.allclose(masked[..., [0, 2]], weights(router, owners=OWNERS[1:]), atol=1e-7)


def test_a_text_read_in_pieces_is_routed_as_in_one() -> None:
    router, memory = NaiveBayes(), dict[str, Tensor]()
    pieces = [weights(router, text=TEXT[:, part], memory=memory) for part in (slice(0, 1), slice(1, 3), slice(3, 4))]
    assert torch.allclose(torch.cat(pieces, 1), weights(router), atol=1e-7)


def test_padding_is_no_evidence() -> None:
    mask = torch.tensor([[True, True, False, False]] * 2)
    found = weights(NaiveBayes(), mask=mask)
    assert torch.allclose(found[:, 2], found[:, 1])
    assert torch.allclose(found[:, :2], weights(NaiveBayes())[:, :2])


def test_the_anchor_can_be_left_out_but_answers_where_nobody_else_may() -> None:
    router = NaiveBayes(anchor=-math.inf)
    assert bool((weights(router)[..., 0] == 0).all())
    assert bool((weights(router, allowed=[True, False, False])[..., 0] == 1).all())


def test_no_token_counts_against_an_owner_by_more_than_the_smoothing_says() -> None:
    never = [[0.5, 0.5, 0.0, 0.0]]
    text = torch.tensor([[3]])
    odds = weights(NaiveBayes(smoothing=0.1, temperature=1.0, anchor=0.0), text=text, owners=never)[0, 0]
    assert float(odds[1] / odds[0]) == pytest.approx(0.1, rel=1e-4)


def test_fewer_slots_can_be_kept() -> None:
    kept = weights(NaiveBayes(k=1))
    assert bool(((kept == 0) | (kept == 1)).all())
    assert torch.equal(kept.argmax(-1), weights(NaiveBayes()).argmax(-1))


@pytest.mark.parametrize(
    "options", [{"smoothing": 0.0}, {"smoothing": 1.5}, {"temperature": 0.0}, {"anchor": math.nan}]
)
def test_impossible_options_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="naive-bayes"):
        NaiveBayes(**options)  # type: ignore[arg-type]


def test_what_is_missing_is_named() -> None:
    router, frame = NaiveBayes(), descriptor(PUBLIC)
    with pytest.raises(MixtureError, match=r"descriptor\.counted=400"):
        router.row(SITE, descriptor(None), frame, {})
    with pytest.raises(MixtureError, match="3 tokens, the anchor knows 4"):
        router.row(SITE, descriptor([0.5, 0.3, 0.2]), frame, {})
    with pytest.raises(MixtureError, match="input_ids"):
        router.route(state(router, OWNERS), torch.zeros(1, 2, 2), RoutingContext(SITE, torch.ones(3, dtype=torch.bool)))
