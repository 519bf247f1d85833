"""Every partition keeps its promise on any pool, and does what it is for."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atoll.benchmarks.partitions.class_split import Classes
from atoll.benchmarks.partitions.dirichlet import Dirichlet
from atoll.benchmarks.partitions.drifting import Drifting, between, fitted
from atoll.benchmarks.partitions.feature_shift import FeatureShift
from atoll.benchmarks.partitions.figures import class_counts
from atoll.benchmarks.partitions.look import Look
from atoll.benchmarks.partitions.natural import Natural
from atoll.benchmarks.partitions.partition import GROUP, Part, Partition, Pool
from atoll.benchmarks.partitions.quantity import Quantity
from atoll.benchmarks.partitions.shares import apportioned, at_least
from atoll.errors import ConfigError, DataError
from atoll.plugins import build, names

POOL = Pool.of(np.arange(1000) % 10)


@st.composite
def pools(draw: st.DrawFn) -> Pool:
    """Some hundred samples of a few classes, of which some may be rare or missing, from two sources."""
    classes = draw(st.integers(5, 8))
    weights = draw(st.lists(st.integers(0, 9), min_size=classes, max_size=classes))
    size, seed = draw(st.integers(120, 400)), draw(st.integers(0, 999))
    shares = (np.array(weights) + 0.01) / (np.array(weights) + 0.01).sum()
    random = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(5), random.choice(classes, size, p=shares)])
    origins = np.concatenate([[0, 1], random.integers(0, 2, size + 3)])
    return Pool(labels=labels, classes=classes, origins=origins, sources=("north", "south"))


def lenient(name: str) -> Partition:
    """With its defaults, and no more than one sample a silo asked for."""
    known: dict[str, dict[str, Any]] = {"dirichlet": {"minimum": 1}, "drifting": {"minimum": 1, "alpha": 5.0}}
    found: Partition = build(GROUP, name, known.get(name, {}))
    return found


@pytest.mark.parametrize("name", names(GROUP))
@settings(max_examples=25, deadline=None)
@given(pool=pools(), seed=st.integers(0, 2**32 - 1))
def test_every_sample_is_in_exactly_one_part_and_the_seed_decides(name: str, pool: Pool, seed: int) -> None:
    parts = lenient(name).split(pool, seed)
    assert np.sort(np.concatenate([part.indices for part in parts])).tolist() == list(range(len(pool)))
    assert all(len(part.indices) and (np.diff(part.indices) > 0).all() for part in parts)
    assert [part.stage for part in parts] == sorted(part.stage for part in parts)
    assert len({(part.silo, part.stage) for part in parts}) == len(parts)
    again = lenient(name).split(pool, seed)
    assert all((one.indices == other.indices).all() and one.look == other.look for one, other in zip(parts, again))  # noqa: B905


@pytest.mark.parametrize("name", ["dirichlet", "drifting", "feature-shift", "quantity"])
def test_another_seed_deals_otherwise(name: str) -> None:
    one, other = (build(GROUP, name, {}).split(POOL, seed) for seed in (0, 1))
    assert any(a.indices.tolist() != b.indices.tolist() for a, b in zip(one, other, strict=True))


@settings(deadline=None)
@given(pool=pools(), alpha=st.floats(1e-3, 1e3), silos=st.integers(1, 9), seed=st.integers(0, 99))
def test_silos_that_draw_a_mix_are_of_one_size(pool: Pool, alpha: float, silos: int, seed: int) -> None:
    sizes = [len(part.indices) for part in Dirichlet(silos=silos, alpha=alpha).split(pool, seed)]
    assert max(sizes) - min(sizes) <= 1


@settings(deadline=None)
@given(minimum=st.integers(1, 30), alpha=st.floats(0.3, 10), seed=st.integers(0, 99))
def test_no_silo_is_below_the_minimum(minimum: int, alpha: float, seed: int) -> None:
    for partition in (
        Dirichlet(each="classes", alpha=alpha, minimum=minimum),
        Dirichlet(alpha=alpha, minimum=minimum),
        Quantity(law="dirichlet", strength=alpha, minimum=minimum),
        Quantity(strength=alpha, minimum=minimum),
        Drifting(alpha=alpha, minimum=minimum),
    ):
        assert min(len(part.indices) for part in partition.split(POOL, seed)) >= minimum


@pytest.mark.parametrize("each", ["silos", "classes"])
def test_large_alpha_tends_to_silos_that_are_alike_and_small_alpha_does_not(each: str) -> None:
    pool = Pool.of(np.arange(50_000) % 10)
    even, weak, strong = (
        skew(Dirichlet(alpha=alpha, each=each, minimum=1).split(pool, 0), pool) for alpha in (1e6, 10.0, 0.05)
    )
    assert even < 0.05 < weak < strong
    assert strong > 0.6


def test_alpha_without_end_is_even() -> None:
    counts = class_counts(Dirichlet(alpha=1e300, each="classes").split(POOL, 3), POOL)
    assert (counts == 20).all()


def skew(parts: list[Part], pool: Pool) -> float:
    """Mean total variation between a silo's classes and the pool's: 0 for alike, near 1 for one class each."""
    shares = class_counts(parts, pool) / np.array([[len(part.indices)] for part in parts])
    return float(np.abs(shares - np.bincount(pool.labels) / len(pool)).sum(1).mean() / 2)


def test_a_minimum_that_cannot_be_kept_is_said() -> None:
    with pytest.raises(DataError, match="too few for 5 silos with at least 300 each"):
        Dirichlet(minimum=300).split(POOL, 0)
    with pytest.raises(DataError, match="always had fewer than 190"):
        Dirichlet(minimum=190, alpha=0.05, each="classes").split(POOL, 0)


def test_natural_silos_are_where_samples_come_from() -> None:
    pool = Pool(labels=np.zeros(5, dtype=np.int64), classes=1, origins=np.array([0, 1, 1, 0, 1]), sources=("a", "b"))
    assert [(part.silo, part.indices.tolist()) for part in Natural().split(pool, 0)] == [
        ("a", [0, 3]),
        ("b", [1, 2, 4]),
    ]
    with pytest.raises(DataError, match="no sample comes from 'b'"):
        Natural().split(Pool(labels=pool.labels, classes=1, origins=np.zeros(5, dtype=np.int64), sources=("a", "b")), 0)


def test_classes_are_apart_and_in_order() -> None:
    held = [np.unique(POOL.labels[part.indices]).tolist() for part in Classes(silos=4).split(POOL, 0)]
    assert held == [[0, 1, 2], [3, 4, 5], [6, 7], [8, 9]]
    drawn = [np.unique(POOL.labels[part.indices]).tolist() for part in Classes(silos=4, shuffled=True).split(POOL, 0)]
    assert drawn != held
    assert sorted(label for labels in drawn for label in labels) == list(range(10))
    with pytest.raises(DataError, match="10 classes are too few for 11 silos"):
        Classes(silos=11).split(POOL, 0)


def test_a_power_law_of_sizes() -> None:
    sizes = [len(part.indices) for part in Quantity(silos=4).split(POOL, 0)]
    assert sizes == [480, 240, 160, 120]
    assert {len(part.indices) for part in Quantity(silos=4, strength=0).split(POOL, 0)} == {250}


def test_looks_are_dealt_in_order() -> None:
    looks = [Look(rotation=10), Look(noise=3)]
    assert [part.look for part in FeatureShift(looks=looks).split(POOL, 0)] == looks


def test_a_mix_of_classes_drifts_by_equal_steps() -> None:
    pool = Pool.of(np.arange(60_000) % 6)
    parts = Drifting(silos=1, stages=3, alpha=3.0).split(pool, 5)
    # Fitting the mixes to the pool bends the way, so only its ends and its order are held to.
    far = [np.abs(one - other).sum() for one, other in pairs(class_counts(parts, pool) / 20_000)]
    first, last, whole = far[0], far[2], far[1]
    assert min(first, last) > 0.1
    assert whole > max(first, last)


def pairs(shares: Any) -> list[tuple[Any, Any]]:
    return [(shares[0], shares[1]), (shares[0], shares[2]), (shares[1], shares[2])]


def test_looks_drift_and_may_be_staggered() -> None:
    last = Look(rotation=90, inverted=True)
    together = Drifting(silos=2, stages=3, last=last).split(POOL, 0)
    assert [part.look.rotation for part in together] == [0, 0, 45, 45, 90, 90]
    assert [part.look.inverted for part in together] == [False, False, True, True, True, True]
    apart = Drifting(silos=2, stages=3, last=last, staggered=True).split(POOL, 0)
    assert [part.look.rotation for part in apart] == [0, 0, 45, 22.5, 90, 90]
    assert between(Look(), last, 0.25) == Look(rotation=22.5)


@settings(deadline=None)
@given(
    parts=st.integers(1, 6),
    totals=st.lists(st.integers(0, 200), min_size=2, max_size=6).filter(lambda found: sum(found) > 0),
    seed=st.integers(0, 99),
)
def test_fitting_uses_every_sample_and_keeps_parts_of_about_one_size(parts: int, totals: list[int], seed: int) -> None:
    mixes = np.random.default_rng(seed).dirichlet(np.ones(len(totals)), parts) + 1e-3
    counts = fitted(mixes, np.array(totals))
    assert counts.sum(0).tolist() == totals
    assert (counts >= 0).all()
    assert np.abs(counts.sum(1) - sum(totals) / parts).max() <= len(totals)


@settings(deadline=None)
@given(weights=st.lists(st.floats(0, 1e6), min_size=1, max_size=9), total=st.integers(0, 10_000))
def test_whole_numbers_sum_up_and_are_near_their_shares(weights: list[float], total: int) -> None:
    given_ = np.array(weights)
    found = apportioned(given_, total)
    assert found.sum() == total
    if given_.sum() > 1e-3:
        assert np.abs(found - given_ / given_.sum() * total).max() < 1 + 1e-6


@settings(deadline=None)
@given(sizes=st.lists(st.integers(0, 50), min_size=1, max_size=9), minimum=st.integers(0, 5))
def test_what_lacks_comes_from_the_largest(sizes: list[int], minimum: int) -> None:
    if sum(sizes) < minimum * len(sizes):
        return
    found = at_least(np.array(sizes), minimum)
    assert found.sum() == sum(sizes)
    assert found.min() >= minimum
    assert found.max() <= max(*sizes, minimum)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (Dirichlet(alpha=0.0), "alpha is 0"),
        (Dirichlet(alpha=float("nan")), "alpha is nan"),
        (Dirichlet(each="pupil"), "it is silos or classes"),
        (Dirichlet(silos=0), "0 silos"),
        (Quantity(law="zipf"), "law 'zipf'"),
        (Quantity(strength=-1.0), "strength -1"),
        (Quantity(law="dirichlet", strength=0.0), "strength is 0"),
        (Drifting(stages=1), "drift takes at least two"),
    ],
)
def test_options_that_make_no_sense_are_refused(wrong: Partition, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        wrong.split(POOL, 0)
