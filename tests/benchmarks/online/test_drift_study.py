"""The study scores every registered learner, and the suites that come with it name what there is."""

from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("river")

from atoll.benchmarks.online.drift import Drifting
from atoll.benchmarks.online.learner import GROUP
from atoll.benchmarks.online.streams import STREAMS
from atoll.benchmarks.suites import study as suites
from atoll.benchmarks.suites.outcome import Outcome
from atoll.benchmarks.suites.study import Work
from atoll.errors import ConfigError, PluginError
from atoll.federation.units import Choice
from atoll.plugins import build, load, names

SHORT = Drifting(stream="sea-abrupt", length=160, window=40)
LIBRARY = Path(suites.__file__).parent / "library"
SUITES = sorted(LIBRARY.glob("drift-*.yaml"))


def _run(study: Drifting, name: str, seed: int = 0, **options: object) -> Outcome:
    return study.run(Work(method=Choice(name=name, options=dict(options)), seed=seed, folder=Path()))


def test_it_is_registered() -> None:
    assert load(suites.GROUP, "drift") is Drifting


@pytest.mark.parametrize("name", names(GROUP))
def test_every_learner_is_scored(name: str) -> None:
    found = _run(SHORT, name)
    assert set(found.metrics) == {
        *("accuracy", "kappa", "kappa_m", "kappa_temporal", "accuracy_after_drifts", "cpu_seconds", "model_bytes")
    }
    assert set(found.curves) == {"accuracy", "kappa", "kappa_m", "kappa_temporal"}
    assert found.curves["accuracy"].x == [40, 80, 120, 160]
    assert sum(found.curves["accuracy"].y) / 4 == pytest.approx(found.metrics["accuracy"])
    assert set(found.costs) == {"seconds", "peak_memory_bytes"}
    assert SHORT.methods()[name]


@pytest.mark.parametrize("name", ["moe-data", "moe-task", "adaptive-forest", "arrivals"])
def test_the_seed_decides(name: str) -> None:
    first, again, other = (_run(SHORT, name, seed).curves for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_late_labels_cost_what_was_not_known_yet() -> None:
    late = Drifting(stream="sea-abrupt", length=400, window=40, delay=200)
    found = _run(late, "hoeffding-tree").curves["accuracy"].y
    assert min(found[6:]) > max(found[:5]), "the class 0 is the guess of who was told nothing"


def test_streams_without_known_drifts_say_nothing_of_them() -> None:
    study = Drifting(stream="phishing", length=100, window=50)
    assert "accuracy_after_drifts" not in _run(study, "naive-bayes").metrics
    assert study.pictures(0, Path("/nowhere")) == {}


def test_the_concepts_are_drawn(tmp_path: Path) -> None:
    made = SHORT.pictures(0, tmp_path)
    assert list(made) == ["Concepts of sea-abrupt"]
    assert made["Concepts of sea-abrupt"].read_bytes().startswith(b"\x89PNG")


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(ConfigError, match="window is 500; it must be between 1 and the stream's 160 samples"):
        _run(Drifting(length=160), "naive-bayes")
    with pytest.raises(PluginError, match=r"'moe' is not registered under atoll\.online"):
        _run(SHORT, "moe")
    with pytest.raises(
        ConfigError, match=r"'moe-data' of atoll\.online has no option 'expert': did you mean 'experts'"
    ):
        _run(SHORT, "moe-data", expert=3)


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_suites_name_streams_and_learners_that_there_are(path: Path) -> None:
    suite = yaml.safe_load(path.read_text("utf-8"))
    assert suite["study"] == "drift"
    assert set(suite["vary"].get("stream", [])) <= set(STREAMS)
    Drifting(**suite["settings"])
    methods: list[dict[str, Any]] = [{"name": each} if isinstance(each, str) else each for each in suite["methods"]]
    for method in methods:
        build(GROUP, method["name"], method.get("options", {}))
    labels = [method.get("label", method["name"]) for method in methods]
    assert len(set(labels)) == len(labels)
    for claim in suite.get("claims", []):
        assert {claim["better"], claim["than"]} <= set(labels)


def test_there_are_suites() -> None:
    assert len(SUITES) >= 3
