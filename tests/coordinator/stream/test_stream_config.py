"""A stream's configuration says what is wrong before anyone trains."""

from dataclasses import replace
from typing import Any

import pytest

from atoll.coordinator.stream.config import RefitConfig, StreamConfig, generator_for
from atoll.errors import ConfigError, PluginError
from atoll.experts.arrival_config import ArrivalConfig
from atoll.experts.stop_config import RouterStop
from atoll.federation.units import Choice

SILOS = ["clinic", "court", "yard"]


def stream(**changes: Any) -> StreamConfig:
    return replace(StreamConfig(stages=[["clinic"], ["court", "yard"]]), **changes)


def test_a_run_without_stages_is_no_stream() -> None:
    assert not StreamConfig().on
    StreamConfig().check(SILOS)


def test_stages_name_everyone_once() -> None:
    stream().check(SILOS)
    assert stream().owners == SILOS
    for stages, why in (
        ([["clinic"], [], ["court", "yard"]], "nobody arrives at stage 2"),
        ([["clinic"], ["court", "dock"]], "'dock', who is no silo"),
        ([["clinic"], ["court"]], "'yard' never arrives"),
        ([["clinic"], ["court", "yard", "clinic"]], "'clinic' arrives twice"),
    ):
        with pytest.raises(ConfigError, match=why):
            stream(stages=stages).check(SILOS)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"arrival": ArrivalConfig(distillation="nothing")}, "arrival.distillation"),
        ({"arrival": ArrivalConfig(start="scratch")}, "arrival.start"),
        ({"arrival": ArrivalConfig(budget=0)}, "arrival.budget"),
        ({"arrival": ArrivalConfig(labels=False, distillation="none")}, "nothing to learn from"),
        ({"refit": RefitConfig(steps=-1)}, "refit.steps"),
        ({"refit": RefitConfig(batch=0)}, "refit.batch"),
        ({"refit": RefitConfig(learning_rate=0.0)}, "refit.learning_rate"),
        ({"refit": RefitConfig(divergence="kl")}, "divergence"),
        ({"refit": RefitConfig(fittings=-1)}, "refit.fittings"),
        ({"refit": RefitConfig(stop=RouterStop(when="soon"))}, "refit.stop.when"),
        ({"arrival": ArrivalConfig(stop=RouterStop(after=0))}, "arrival.stop.after"),
    ],
)
def test_impossible_values_are_named(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        stream(**changes).check(SILOS)


def test_plug_ins_are_looked_up_before_anyone_trains() -> None:
    with pytest.raises(PluginError, match="'joined' is not registered"):
        stream(baselines=[Choice(name="joined")]).check(SILOS)
    with pytest.raises(PluginError, match="'movegc' is not registered"):
        stream(replay=Choice(name="movegc")).check(SILOS)


def test_the_generator_is_that_of_the_workload() -> None:
    any_of_them = Choice(name="")
    assert generator_for("text", any_of_them).name == "autoregressive"
    assert generator_for("mobility", any_of_them).name == "movegcl"
    assert generator_for("images", any_of_them).name == "gaussian"
    assert generator_for("tabular", Choice(name="vae")).name == "vae"
    with pytest.raises(ConfigError, match="draws no samples of text"):
        generator_for("text", Choice(name="movegcl"))
    with pytest.raises(ConfigError, match="no generator of replay is registered for workload sounds"):
        generator_for("sounds", any_of_them)
