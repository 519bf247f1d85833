"""An owner's cap on samples: it travels in the prior, and draws keep to it."""

from dataclasses import replace

import pytest

from atoll.errors import PackageError
from atoll.plugins import build
from atoll.replay import Disclosure, Draw, Prior, ReplaySet, draw_replay
from atoll.testing.replay_bench import BENCHES

RELEASE = "sha256:" + "a" * 64
REPLAY = build("atoll.replay", "autoregressive", {})
BENCH = BENCHES["text"]()
PRIOR = REPLAY.remember(BENCH.private, BENCH.context, Disclosure(smallest=0))
EMPTY = Prior(generator=REPLAY.name, settings={}, tensors={}, declared={}, most=7)


def drawn(prior: Prior | None, budget: int = 12) -> ReplaySet:
    draw = Draw(budget=budget, repetition=None)
    teacher, context = BENCH.teacher, BENCH.context
    return draw_replay(
        REPLAY, teacher, prior, context, draw, owner="clinic", release=RELEASE, experts=["clinic"], seed=3
    )


@pytest.mark.parametrize(("most", "budget"), [(0, 12), (12, 12), (500, 12), (5, 5)])
def test_the_budget_is_cut_to_the_cap_and_the_provenance_says_so(most: int, budget: int) -> None:
    found = drawn(replace(PRIOR, most=most))
    assert len(found) + sum(found.dropped.values()) == budget
    assert (found.provenance.budget, found.provenance.most) == (budget, most)
    assert ReplaySet.from_bytes(found.to_bytes()).digest == found.digest


def test_a_prior_that_tells_nothing_still_carries_the_cap() -> None:
    found, without = drawn(EMPTY), drawn(None, budget=7)
    assert found.provenance.budget == 7
    assert [sample["input_ids"].tolist() for sample in found.samples] == [
        sample["input_ids"].tolist() for sample in without.samples
    ]


def test_the_cap_is_part_of_what_a_prior_is() -> None:
    capped = replace(PRIOR, most=5)
    assert Prior.from_bytes(capped.to_bytes()).most == 5
    assert capped.digest != PRIOR.digest
    assert any("at most 5 samples" in line for line in capped.lines())


@pytest.mark.parametrize("most", [-1, 1.0, True, "5"])
def test_an_odd_cap_is_refused(most: object) -> None:
    with pytest.raises(PackageError, match="most"):
        replace(PRIOR, most=most)


def test_a_set_beyond_its_owners_cap_is_refused() -> None:
    found = drawn(replace(PRIOR, most=5))
    with pytest.raises(PackageError, match="permits"):
        replace(found.provenance, budget=6)
