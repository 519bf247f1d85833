import pytest

from atoll.benchmarks.avalanche.baselines import BASELINES, baseline
from atoll.errors import ConfigError
from atoll.federation.units import Choice


def test_options_go_over_defaults() -> None:
    known, options = baseline(Choice(name="lwf", options={"alpha": 3}), "class", False)
    assert known is BASELINES["lwf"]
    assert options == {"alpha": 3, "temperature": 2.0}
    assert dict(known.options)["alpha"] == 1.0
    assert baseline(Choice(name="ewc", options={"mode": "online", "decay_factor": 0.9}), "task", False)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (Choice(name="ewk"), "'ewk' is no baseline.*did you mean 'ewc'"),
        (Choice(name="ewc", options={"ewc_lambd": 3}), "no option 'ewc_lambd': did you mean 'ewc_lambda'"),
        (Choice(name="none", options={"strength": 3}), "no option 'strength': there are none"),
        (Choice(name="ewc", options={"ewc_lambda": "much"}), "ewc_lambda is 'much'"),
        (Choice(name="er", options={"mem_size": 1.5}), "mem_size is 1.5"),
        (Choice(name="er", options={"mem_size": True}), "mem_size is True"),
        (Choice(name="der"), "not work on task-incremental"),
    ],
)
def test_what_cannot_be_is_said(choice: Choice, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        baseline(choice, "task", False)


def test_online() -> None:
    assert baseline(Choice(name="ewc"), "class", True)
    with pytest.raises(ConfigError, match="online streams"):
        baseline(Choice(name="cumulative"), "class", True)
