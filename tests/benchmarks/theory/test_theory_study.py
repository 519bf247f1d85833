"""The findings of the theory, in simulation: closed forms, stopping the router, the locality loss, and the trap."""

from pathlib import Path
from typing import Any

import pytest

from atoll.benchmarks.suites.outcome import Outcome
from atoll.benchmarks.suites.study import GROUP, Work
from atoll.benchmarks.theory.study import MoeTheory
from atoll.errors import ConfigError
from atoll.federation.units import Choice
from atoll.plugins import build

FAST = MoeTheory(streams=24, rounds=600)


def run(study: MoeTheory, name: str, seed: int = 0, **options: Any) -> Outcome:
    return study.run(Work(method=Choice(name=name, options=options), seed=seed, folder=Path("nowhere")))


def error(study: MoeTheory, seed: int = 0, **options: Any) -> float:
    return run(study, "moe", seed, **options).metrics["generalization_error"]


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("signal", [0.0, 1.0])
def test_a_single_expert_is_within_three_standard_errors_of_the_closed_forms(seed: int, signal: float) -> None:
    found = run(MoeTheory(streams=60, rounds=200, signal=signal), "single", seed).metrics
    assert abs(found["forgetting_standard_errors"]) < 3
    assert abs(found["generalization_error_standard_errors"]) < 3
    assert found["forgetting_expected"] == pytest.approx(found["forgetting_mean"], rel=0.2)


@pytest.mark.parametrize("experts", [5, 10])
def test_stopping_the_router_generalizes_better_and_the_locality_loss_is_why(experts: int) -> None:
    never = error(FAST, experts=experts)
    stopped = error(FAST, experts=experts, stop="converged")
    without = error(FAST, experts=experts, stop="converged", locality=False)
    assert stopped < 0.75 * never
    assert without > 1.2 * stopped


@pytest.mark.suite
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("experts", [5, 10])
def test_the_same_at_the_size_of_the_paper(experts: int, seed: int) -> None:
    study = MoeTheory()
    never = error(study, seed, experts=experts)
    assert error(study, seed, experts=experts, stop="converged") < 0.75 * never
    assert error(study, seed, experts=experts, stop="rounds", explorations=5.0) < 0.75 * never
    assert error(study, seed, experts=experts, stop="converged", locality=False) > 0.85 * never


def test_with_signals_of_length_one_a_mixture_is_of_no_use() -> None:
    weak = MoeTheory(streams=24, rounds=600, signal=10**-0.5)
    single = run(weak, "single").metrics["generalization_error"]
    for stop in ("never", "converged"):
        assert error(weak, experts=5, stop=stop) > 0.8 * single


def test_with_strong_signals_it_is_stopping_that_loses() -> None:
    """The paper's finding has a window: a gate that outgrows the noise by itself must not be stopped."""
    strong = MoeTheory(streams=24, rounds=1500, signal=2.0)
    assert error(strong, experts=5) < 0.5 * error(strong, experts=5, stop="converged")


def test_oracle_routing_forgets_nothing() -> None:
    found = run(FAST, "oracle").metrics
    assert found["purity"] == 1
    assert abs(found["forgetting"]) < 0.01
    assert found["generalization_error"] < 0.01


def test_an_outcome_has_curves_and_says_when_routers_stopped(tmp_path: Path) -> None:
    small = MoeTheory(streams=4, rounds=60)
    single, stopped = run(small, "single"), run(small, "moe", stop="rounds", experts=5)
    assert set(single.curves) == {
        "forgetting",
        "generalization_error",
        "forgetting_expected",
        "generalization_error_expected",
    }
    assert single.curves["forgetting"].x[0] == 2
    assert single.curves["forgetting"].x[-1] == 60
    assert (stopped.metrics["stopped_share"], stopped.metrics["stopped_round"]) == (1, 10)
    assert "stopped_share" not in run(small, "moe").metrics
    stopped.save(tmp_path / "outcome.json")
    assert Outcome.load(tmp_path / "outcome.json").metrics == stopped.metrics


def test_the_seed_decides_and_nothing_else() -> None:
    small = MoeTheory(streams=4, rounds=30)
    assert run(small, "moe", 1).metrics == run(small, "moe", 1).metrics
    assert run(small, "moe", 1).metrics != run(small, "moe", 2).metrics


def test_it_is_registered_and_draws(tmp_path: Path) -> None:
    study = build(GROUP, "moe-theory", {"streams": 4, "rounds": 30})
    assert set(study.methods()) == {"single", "moe", "oracle"}
    (picture,) = study.pictures(0, tmp_path).values()
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("top-k", {}, "no method 'top-k'"),
        ("single", {"experts": 2}, "'single' has no options"),
        ("moe", {"expert": 2}, "unknown field 'expert'"),
        ("moe", {"stop": "soon"}, "one of never, rounds, converged"),
    ],
)
def test_what_cannot_be_is_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run(MoeTheory(streams=2, rounds=4), name, **options)


@pytest.mark.parametrize("values", [{"streams": 1}, {"tasks": 11}, {"clusters": 7}, {"rounds": 1}])
def test_impossible_settings_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        run(MoeTheory(**values), "single")
