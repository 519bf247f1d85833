"""Study ``merging``: what it refuses before anything is trained, and one cell of it from end to end."""

from pathlib import Path

import pytest

from atoll.benchmarks.integration.study import Merging
from atoll.benchmarks.suites.study import Work
from atoll.errors import ConfigError
from atoll.federation.units import Choice


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"arm": "ffn-lonely", "integrator": "soup"}, "no arm 'ffn-lonely'; there are ffn-coordinated"),
        ({"integrator": "soup", "rooter": "top-k"}, "rooter.*its options are arm, integrator, router"),
    ],
)
def test_a_slip_is_said_before_anything_is_trained(options: dict[str, str], message: str, tmp_path: Path) -> None:
    work = Work(method=Choice(name="model", options=options), seed=0, folder=tmp_path)
    with pytest.raises(ConfigError, match=message):
        Merging().run(work)


@pytest.mark.suite
def test_experts_are_trained_once_and_help_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATOLL_CACHE", str(tmp_path))
    study = Merging(steps=8, windows=4)
    found = {}
    for method in (Choice(name="anchor"), Choice(name="model", options={"arm": "ffn-alone", "integrator": "soup"})):
        found[method.name] = study.run(Work(method=method, seed=0, folder=tmp_path / method.name)).metrics
    packages = list((tmp_path / "bench").rglob("work/*/*.atoll"))
    assert len(packages) == 4
    study.run(Work(method=method, seed=0, folder=tmp_path / "again"))
    assert list((tmp_path / "bench").rglob("work/*/*.atoll")) == packages
    assert found["model"]["loss"] < found["anchor"]["loss"]
