from dataclasses import replace
from pathlib import Path

import pytest
from tests.workloads.tabular.tables import anchor_of

from atoll.anchors.classifier import Schema
from atoll.benchmarks.clinical.config import SETS, clinical_run, read_set, tables
from atoll.benchmarks.clinical.outside import cross_site
from atoll.benchmarks.clinical.study import CROSS, Clinical, _open
from atoll.benchmarks.datasets.clinical_set import ClinicalSet
from atoll.benchmarks.suites.study import Work
from atoll.benchmarks.suites.suite import read_suite
from atoll.errors import ConfigError, DataError
from atoll.federation.units import Choice
from atoll.plugins import load
from atoll.workloads.tabular import Tabular

COUNTS = {
    "heart": {"cleveland": 304, "hungary": 293, "va-long-beach": 200, "switzerland": 123},
    "thyroid": {"other": 5493, "svi": 2394, "svhc": 956, "stmw": 255, "svhd": 71},
}


def there(name: str) -> ClinicalSet:
    try:
        return read_set(name)
    except DataError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", sorted(SETS))
def test_sites_have_the_patients_that_they_are_known_to_have(name: str, tmp_path: Path) -> None:
    found = there(name)
    assert {site: len(rows) for site, rows in found.sites.items()} == COUNTS[name]
    schema: Schema = found.schema
    anchor = anchor_of(tmp_path / "anchor", schema)
    strict = {site: replace(config, invalid="refuse") for site, config in tables(found, tmp_path, 0).items()}
    for site, config in strict.items():
        if name == "thyroid" and site in ("other", "svi"):  # which have ages of centuries
            with pytest.raises(DataError, match="column 'age'"):
                Tabular(config, anchor).prepare()
        else:
            counts = Tabular(config, anchor).counts
            assert sum(one.documents for one in counts.values()) == COUNTS[name][site]


def test_a_seed_reshuffles_who_is_tested_on(tmp_path: Path) -> None:
    found = there("heart")
    runs = [clinical_run(found, tmp_path, seed, stages=[list(found.sites)], steps=1, split="test") for seed in (0, 1)]
    keys = [_open(run)["hungary"].key for run in runs]
    assert keys[0] != keys[1]
    assert keys[0] == _open(runs[0])["hungary"].key


def test_a_model_of_one_source_ranks_patients_of_another_the_wrong_way_round(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    found = there("thyroid")
    run = clinical_run(found, tmp_path, 0, stages=[list(found.sites)], steps=1, split="test")
    both = {site: workload for site, workload in _open(run).items() if site in ("stmw", "svi")}
    areas = cross_site(both, "test", 0)
    assert areas["stmw", "svi"] < 0.4
    assert areas["stmw", "stmw"] > 0.8


@pytest.mark.parametrize("method", ["class-means", "logistic-pooled", "trees-local", CROSS])
def test_methods_give_figures_of_every_site_and_over_sites(method: str, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    there("heart")
    study = Clinical(data="heart", arrivals="together", steps=5, split="validation")
    found = study.run(Work(method=Choice(name=method), seed=0, folder=tmp_path))
    if method == CROSS:
        assert found.metrics["auroc/cleveland to hungary"] > 0.7
        return
    assert found.streams["auroc"].silos == tuple(COUNTS["heart"])
    assert 0.5 < found.metrics["auroc/mean"] <= 1
    assert {"auroc/gap", "brier/mean", "ece/mean", "tpr/gap", "tpr/sex gap"} <= set(found.figures())


def test_an_unknown_source_is_measured_before_it_comes(tmp_path: Path) -> None:
    there("heart")
    study = Clinical(data="heart", unknown="hungary", steps=5)
    found = study.run(Work(method=Choice(name="class-means"), seed=0, folder=tmp_path))
    assert found.streams["auroc"].stages == (("cleveland", "va-long-beach", "switzerland"), ("hungary",))
    assert found.metrics["unknown/auroc"] == found.streams["auroc"].values[1, -1]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"arrivals": "twice"}, "each or together"),
        ({"data": "lungs"}, "no data set 'lungs'"),
        ({"unknown": "mars"}, "'mars', no site"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, str], told: str, tmp_path: Path) -> None:
    there("heart")
    with pytest.raises(ConfigError, match=told):
        Clinical(**settings).run(Work(method=Choice(name="joint"), seed=0, folder=tmp_path))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["heart", "thyroid", "unknown-source"])
def test_suites_are_read_and_name_what_the_study_runs(name: str) -> None:
    assert read_suite(name).cells
    assert read_suite(name, quick=True).cells
    assert load("atoll.studies", "clinical") is Clinical


@pytest.mark.suite
def test_atoll_learns_and_routes(tmp_path: Path) -> None:
    there("heart")
    study = Clinical(data="heart", arrivals="together", steps=40, split="validation")
    found = study.run(Work(method=Choice(name="atoll"), seed=0, folder=tmp_path))
    assert found.metrics["auroc/mean"] > 0.7
