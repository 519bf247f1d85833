"""The study of silos: what each gets, in which order they come, and a whole stream of it."""

from pathlib import Path

import numpy as np
import pytest

from atoll.benchmarks.silos.study import Silos
from atoll.benchmarks.silos.written import written
from atoll.benchmarks.suites.study import Work
from atoll.benchmarks.suites.suite import read_suite
from atoll.coordinator.config import RunConfig
from atoll.errors import ConfigError, PluginError
from atoll.federation.units import Choice
from atoll.workloads.images import ImagesConfig

pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
DRIFTING = "drifting {silos: 2, stages: 3, minimum: 1, last: {rotation: 90}}"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ATOLL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def config(silo: int, run: RunConfig) -> ImagesConfig:
    found = run.silos[silo].data
    assert isinstance(found, ImagesConfig)
    return found


def test_every_part_becomes_a_silo_with_its_file() -> None:
    run = Silos(data=["digits"], partition="classes {silos: 5}", samples=400).config(0)
    run.check()
    assert [silo.name for silo in run.silos] == [f"silo-{number}" for number in range(1, 6)]
    held = [np.load(config(silo, run).paths[0]) for silo in range(5)]
    assert sum(len(file["labels"]) for file in held) == 400
    assert [np.unique(file["labels"]).tolist() for file in held] == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    assert held[0]["images"].shape[1:] == (28, 28)
    assert config(0, run).classes == [str(digit) for digit in range(10)]


def test_silos_come_one_by_one_or_stage_by_stage() -> None:
    together = Silos(data=["digits"], partition=DRIFTING, samples=300, arrive="together").config(0).stream.stages
    assert together == [[f"silo-{silo}-stage-{stage}" for silo in (1, 2)] for stage in (1, 2, 3)]
    apart = Silos(data=["digits"], partition=DRIFTING, samples=300).config(0).stream.stages
    assert apart == [[owner] for stage in together for owner in stage]
    at_once = Silos(data=["digits"], partition="dirichlet {silos: 3}", samples=300, arrive="together").config(0)
    assert at_once.stream.stages == [["silo-1", "silo-2", "silo-3"]]


def test_pictures_are_written_as_they_look() -> None:
    plain, turned = (
        Silos(data=["digits"], partition=f"feature-shift {{looks: [{{rotation: {degrees}}}]}}", samples=100).config(0)
        for degrees in (0, 90)
    )
    images = [np.load(config(0, run).paths[0])["images"] for run in (plain, turned)]
    assert (np.rot90(images[0], axes=(1, 2)) == images[1]).all()


def test_the_seed_decides_who_has_what(cache: Path) -> None:
    study = Silos(data=["digits"], partition="dirichlet {silos: 3}", samples=300)
    one, again, other = (config(0, study.config(seed)).paths for seed in (0, 0, 1))
    assert one == again != other
    assert len(list((cache / "silos").iterdir())) == 6


def test_a_file_is_known_by_what_is_in_it() -> None:
    images, labels = np.zeros((4, 2, 2), dtype=np.uint8), np.arange(4)
    path = written(images, labels)
    kept = path.stat().st_mtime_ns
    assert written(images, labels) == path
    assert path.stat().st_mtime_ns == kept
    assert written(images, labels[::-1].copy()) != path
    assert written(images.reshape(4, 1, 4), labels) != path


def test_settings_that_cannot_be_are_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="arrive is 'later'"):
        Silos(arrive="later")
    with pytest.raises(PluginError, match="did you mean 'dirichlet'"):
        Silos(partition="dirichle")
    with pytest.raises(ConfigError, match="no data set 'cifar'"):
        Silos(data=["cifar"]).config(0)


def test_pictures_of_the_partition_are_drawn(tmp_path: Path) -> None:
    found = Silos(data=["digits"], partition=DRIFTING, samples=300).pictures(0, tmp_path)
    assert len(found) == 2
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in found.values())


@pytest.mark.parametrize("name", ["three-domains", "partitions", "feature-shift", "drifting-silos"])
def test_the_librarys_suites_of_silos_can_be_run(name: str) -> None:
    for quick in (False, True):
        suite = read_suite(name, quick=quick)
        assert all(isinstance(suite.study(case), Silos) for case in suite.cases)


def test_a_baseline_runs_on_silos(tmp_path: Path) -> None:
    study = Silos(data=["digits"], partition="classes {silos: 2}", samples=300)
    found = study.run(Work(method=Choice(name="class-means"), seed=0, folder=tmp_path))
    # Nothing is trained, and nothing forgotten: a silo's digits are told apart at once, and two silos' soon after.
    assert found.streams["accuracy"].values[1, 0] > 0.8
    assert found.streams["accuracy"].values[2].min() > 0.7
    assert {"accuracy", "brier", "loss"} <= set(found.streams)
    assert "bytes_moved" not in found.costs  # what moves is no model


@pytest.mark.suite
def test_atoll_runs_on_silos(tmp_path: Path) -> None:
    study = Silos(data=["digits"], partition="classes {silos: 2}", samples=400, steps=40, replay=40)
    found = study.run(Work(method=Choice(name="atoll"), seed=0, folder=tmp_path))
    matrix = found.streams["accuracy"]
    assert matrix.values[1, 0] > 0.9
    assert matrix.values[2].mean() > 0.5
