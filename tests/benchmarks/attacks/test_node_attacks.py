"""Attacks on a node: each works where nothing is refused, and recovers nothing past the gate's default policy."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from atoll.anchors import public
from atoll.benchmarks.attacks import shares
from atoll.benchmarks.attacks.estimates import mean_of, share_of, true_positives
from atoll.benchmarks.attacks.study import ATTACKS, NodeAttacks
from atoll.benchmarks.attacks.tokens import overlap, rounded
from atoll.benchmarks.suites.study import Work
from atoll.benchmarks.suites.suite import read_suite
from atoll.errors import ConfigError
from atoll.federation.units import Choice

CHEAP = ("token-oracle", "nested-difference", "puppet-shares", "gradient-inversion")
COSTLY = ("version-difference", "repeated-calls")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def quick_public_part(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The anchor is trained once for all tests, and described by a dozen excerpts."""
    monkeypatch.setenv("ATOLL_CACHE", str(cache))
    few = public.public_texts(12)
    for module in (public, shares):
        monkeypatch.setattr(module, "public_texts", lambda limit=None: few[:limit])
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)


def figures(name: str, folder: Path, targets: int) -> dict[str, float]:
    work = Work(method=Choice(name=name), seed=0, folder=folder)
    return dict(NodeAttacks(targets=targets).run(work).metrics)


def check(found: dict[str, float], most: float = 0.0) -> None:
    """Well above chance without a gate, and at most so much with one."""
    assert found["ungated"] > max(0.5, 3 * found["chance"])
    assert found["success"] <= most
    assert found["refusals"] > 0


@pytest.mark.parametrize("name", CHEAP)
def test_an_attack_works_without_a_gate_and_not_past_the_default_policy(name: str, tmp_path: Path) -> None:
    # Shares have the node's own noise: of two targets one may come first by chance, and the suite has twenty.
    most = 1.0 if name == "puppet-shares" else 0.0
    check(figures(name, tmp_path, targets=1 if name == "token-oracle" else 2), most)


@pytest.mark.suite
@pytest.mark.parametrize("name", COSTLY)
def test_documents_are_not_recognized_past_the_default_policy(name: str, tmp_path: Path) -> None:
    # Under the node's own noise each of four comes before all twenty others with a chance of one in 21.
    check(figures(name, tmp_path, targets=4), most=0.5)


def test_the_suite_runs_every_attack_and_bounds_each() -> None:
    suite = read_suite("node-attacks", [])
    assert {method.name for method in suite.methods} == set(ATTACKS)
    assert set(suite.config.bounds["all"]) == set(ATTACKS)
    assert suite.config.settings["targets"] == 20


def test_true_positives_are_those_above_what_one_in_a_hundred_others_passes() -> None:
    others = [float(number) for number in range(100)]
    found = true_positives([98.5, 99.5, 98.0, 0.0], others)
    assert (found.value, found.targets) == (0.5, 4)
    assert found.low < 0.5 < found.high
    # Who learns nothing recognizes nobody, however many ties there are.
    assert true_positives([0.0] * 20, [0.0] * 100).value == 0.0


def test_intervals_hold_their_value_and_widen_with_fewer_targets() -> None:
    few, many = share_of(1, 2), share_of(50, 100)
    assert few.low < many.low < 0.5 < many.high < few.high
    spread = mean_of([1.0, 2.0, 3.0, 4.0])
    assert spread.low <= spread.value == 2.5 <= spread.high
    same = mean_of([0.0, 0.0])
    assert (same.low, same.high) == (0.0, 0.0)


def test_counts_keep_their_sum_and_overlap_as_multisets() -> None:
    counts = rounded(np.array([0.5, 0.3, 0.2]), 7)
    assert counts.sum() == 7
    assert overlap(np.array([2, 0, 1]), np.array([1, 5, 1])) == 2


def test_a_study_without_a_target_is_refused() -> None:
    with pytest.raises(ConfigError, match="targets"):
        NodeAttacks(targets=0)
