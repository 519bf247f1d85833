"""The router of the theory: what it descends, and that after its stop only experts move."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from atoll.benchmarks.theory.router import Router, RouterConfig
from atoll.benchmarks.theory.simulate import simulate
from atoll.benchmarks.theory.world import Floats, Round, Setting, World, draw_round, draw_world
from atoll.errors import ConfigError

SHORT = Setting(rounds=40)
STREAMS = 6


def router(seed: int = 0, **values: Any) -> Router:
    return Router(RouterConfig(**values), STREAMS, SHORT.dimension, np.random.default_rng(seed))


def played(one: Router, rounds: int, moved: float = 0.7) -> list[Floats]:
    """θ after every round."""
    random = np.random.default_rng(3)
    world = draw_world(SHORT, STREAMS, random)
    seen = []
    for number in range(1, rounds + 1):
        one.choose(draw_round(SHORT, world, random))
        one.learn(number, np.full(STREAMS, moved))
        seen.append(one.theta_SMD.copy())
    return seen


@pytest.mark.parametrize("stop", ["rounds", "converged"])
def test_after_the_stop_the_router_stays(stop: str) -> None:
    one = router(experts=4, stop=stop, threshold=0.1)
    seen = played(one, 40)
    assert (one.stopped() >= one.config.exploration).all(), "all streams have stopped, and none in exploration"
    for stream, last in enumerate(one.stopped()):
        assert not np.array_equal(seen[last - 1][stream], seen[last - 2][stream]), "updated up to then"
        assert all(np.array_equal(later[stream], seen[last - 1][stream]) for later in seen[last:])


def test_experts_go_on_after_the_stop() -> None:
    def course(rounds: int) -> tuple[Floats, Floats]:
        made: list[Router] = []

        def make(world: World, random: np.random.Generator) -> Router:
            config = RouterConfig(experts=3, stop="rounds")
            made.append(Router(config, STREAMS, SHORT.dimension, random))
            return made[0]

        found = simulate(replace(SHORT, rounds=rounds), make, streams=STREAMS, seed=1)
        return made[0].theta_SMD, found.error_SL

    (theta, error), (later_theta, later_error) = course(10), course(30)
    assert np.array_equal(theta, later_theta)
    assert not np.allclose(error, later_error)


def test_it_never_stops_by_default() -> None:
    one = router()
    seen = played(one, 40)
    assert (one.stopped() == 0).all()
    assert not np.array_equal(seen[-1], seen[-2])


def test_without_both_losses_there_is_nothing_to_learn() -> None:
    one = router(locality=False, balance=0.0)
    assert not played(one, 10)[-1].any()


@pytest.mark.parametrize("values", [{"balance": 0.0}, {"locality": False}, {}])
def test_a_step_descends_the_losses(values: dict[str, Any]) -> None:
    """The gradient by differences: of Σ_m π_m |Δw_m| + α M Σ_m f_m P_m in the new round's share."""
    one = router(experts=3, **values)
    played(one, 5)
    random = np.random.default_rng(9)
    drawn = draw_round(SHORT, draw_world(SHORT, STREAMS, random), random)
    chosen, before, used = one.choose(drawn), one.theta_SMD.copy(), one._used_SM.copy()
    moved = np.linspace(0.1, 2, STREAMS)
    one.learn(6, moved)
    used[np.arange(STREAMS), chosen] += 1
    stream, step = 2, 1e-6
    for place in np.ndindex(3, SHORT.dimension):
        values_at = []
        for sign in (1, -1):
            theta = before[stream].copy()
            theta[place] += sign * step
            values_at.append(_loss(theta, drawn, stream, int(chosen[stream]), moved, used[stream] / 6, one.config))
        slope = (values_at[0] - values_at[1]) / (2 * step)
        done = (before - one.theta_SMD)[stream][place] / one.config.rate
        assert done == pytest.approx(slope, rel=1e-5, abs=1e-8)


def _loss(
    theta: Floats, drawn: Round, stream: int, chosen: int, moved: Floats, share: Floats, config: RouterConfig
) -> float:
    gates = theta @ drawn.samples_SDI[stream].sum(-1)
    chance = float(np.exp(gates[chosen]) / np.exp(gates).sum())
    balance = config.balance * config.experts * share[chosen] * chance / 6
    return float(chance * moved[stream] * config.locality + balance)


@pytest.mark.parametrize("values", [{"stop": "later"}, {"experts": 1}, {"rate": 0.0}, {"noise": -1.0}])
def test_impossible_settings_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="moe"):
        RouterConfig(**values)
