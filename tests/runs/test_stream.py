"""A stream of arriving silos from end to end, with real processes: resumed at any stage, and what withdrawal leaves."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from atoll.coordinator.audits import read_audits
from atoll.coordinator.config import DescriptorConfig, EngineConfig, EvaluationConfig, RunConfig, SiloConfig
from atoll.coordinator.stream.config import RefitConfig, StreamConfig
from atoll.coordinator.stream.results import StreamResults
from atoll.coordinator.stream.run import StreamOutcome, execute_stream
from atoll.errors import ConfigError
from atoll.experts.arrival_config import ArrivalConfig
from atoll.experts.package import verify_package
from atoll.experts.stop_config import RouterStop
from atoll.experts.training import TrainingConfig
from atoll.federation.units import Choice
from atoll.ledger import Ledger
from atoll.releases.opening import open_release, read_release
from atoll.testing import toy_mobility_anchor
from atoll.workloads.mobility.config import MobilityConfig
from atoll.workloads.mobility.generator_config import GeneratorConfig

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
CITIES = ("alpha", "beta", "gamma")


def config(folder: Path, output: str = "run") -> RunConfig:
    toy_mobility_anchor(folder / "anchor")
    silos = [
        SiloConfig(
            name=city,
            domain=f"people of {city}",
            data=MobilityConfig(
                format="generated",
                city=city,
                validation=0.2,
                test=0.2,
                generator=GeneratorConfig(users=30, days=3, locations=40 + 10 * place, seed=place),
            ),
        )
        for place, city in enumerate(CITIES)
    ]
    return RunConfig(
        title="Three cities",
        output=str(folder / output),
        anchor=str(folder / "anchor"),
        silos=silos,
        training=TrainingConfig(steps=6, batch=4, evaluate_every=3, patience=0),
        descriptor=DescriptorConfig(counted=0),
        router=Choice(name="mobility"),
        evaluation=EvaluationConfig(windows=8, batch=8, baselines={}),
        engine=EngineConfig(parallel=2),
        withdraw="beta",
        stream=StreamConfig(
            stages=[["alpha"], ["beta"], ["gamma"]],
            metric="accuracy@1",
            arrival=ArrivalConfig(budget=16, stop=RouterStop(when="steps", after=4)),
            refit=RefitConfig(steps=3, budget=16, batch=4, stop=RouterStop(when="steps", after=2)),
            baselines=[Choice(name="joint"), Choice(name="sequential")],
            budget=replace(StreamConfig().budget, steps=4, batch=4, rounds=2),
        ),
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> StreamOutcome:
    return execute_stream(config(tmp_path_factory.mktemp("stream")), command="atoll run stream.yaml")


def test_every_stage_makes_a_release_and_everyone_measures_it(done: StreamOutcome) -> None:
    results = done.results
    assert [stage.arrived for stage in results.stages] == [["alpha"], ["beta"], ["gamma"]]
    assert [stage.members for stage in results.stages] == [["alpha"], ["alpha", "beta"], ["alpha", "beta", "gamma"]]
    matrix = results.stream.scores["accuracy@1"]
    assert matrix.silos == CITIES
    assert matrix.values.shape == (4, 3)
    assert (matrix.values == matrix.values).all(), "silos to come are measured too, and the anchor before everyone"
    assert [method.name for method in results.methods] == ["atoll", "joint", "sequential"]
    assert matrix.joint is not None
    assert matrix.joint.tolist() == results.methods[1].scores["accuracy@1"].values[-1].tolist()
    assert "co-adapted" in results.stages[-1].guarantee


def test_the_router_is_fitted_on_replay_of_all_domains(done: StreamOutcome) -> None:
    assert set(done.results.stages[0].drawn) == {"alpha"}
    assert set(done.results.stages[2].drawn) == set(CITIES)
    release = read_release(done.folder / "releases" / "release-0003")
    assert release.shared
    opened = open_release(done.folder / "releases" / "release-0003", anchor=str(done.folder.parent / "anchor"))
    assert opened.mixture.slots == ("anchor", *CITIES)


def test_every_stage_says_when_its_router_was_stopped(done: StreamOutcome) -> None:
    assert [stage.stopped for stage in done.results.stages] == [{"alpha": 4}, {"beta": 4}, {"gamma": 4}]
    assert [stage.fitting_stopped for stage in done.results.stages] == [2, 2, 2]
    text = done.report.read_text("utf-8")
    assert "steps until the router was stopped" in text
    assert "gamma 4, fitting 2" in text


def test_a_later_expert_says_what_it_was_trained_beside(done: StreamOutcome) -> None:
    cards = {city: verify_package(_package(done, city), trusted=None).card for city in CITIES}
    assert cards["alpha"].training["stage"] == 1
    assert cards["alpha"].training["beside"] == ""
    assert cards["gamma"].training["beside"] == done.results.stages[1].digest
    assert int(cards["gamma"].training["replayed"]) > 0
    assert cards["gamma"].replay, "what replay may know of it is declared"


def test_after_a_withdrawal_the_report_says_what_is_left(done: StreamOutcome) -> None:
    gone = done.results.withdrawal
    assert gone is not None
    assert (gone.owner, gone.held, gone.fitted, gone.beside) == ("beta", [2, 3], [2, 3], {"gamma": 3})
    release = read_release(done.folder / "releases" / f"release-{gone.release:04d}")
    assert release.owners == ("alpha", "gamma")
    text = done.report.read_text("utf-8")
    assert "Release 4 has no expert of beta" in text
    assert "gamma (stage 3)" in text
    assert "Unlearning scorecard" in text
    measured = {name.removeprefix("unlearning_after_") for name in gone.unlearning if "_after_" in name}
    # Nothing was done anew without beta, so that there is nothing to hold the release against.
    assert measured == {"forget_loss", "holdout_loss", "auc_loss", "auc_reference", "auc_gradient"}
    ledger = Ledger.open(done.folder / "ledger.db")
    try:
        state = ledger.state()
        members = {state.experts[digest].accepted.owner for digest in state.releases[gone.release].released.members}
    finally:
        ledger.close()
    assert members == {"alpha", "gamma"}


def test_the_shared_part_of_the_next_release_has_seen_nothing_of_it(done: StreamOutcome) -> None:
    from atoll.releases.folder import read_shared

    assert done.results.withdrawal is not None
    folder = done.folder / "releases" / f"release-{done.results.withdrawal.release:04d}"
    shared = read_shared(read_release(folder), folder)
    assert shared is not None
    assert shared.seen("beta") == ()
    assert all("beta" not in slots for slots in shared.rows.values())
    assert shared.seen("alpha")


def test_a_stream_that_was_cut_short_goes_on(done: StreamOutcome, tmp_path: Path) -> None:
    before = (done.folder / "journal.jsonl").read_text().splitlines()
    again = execute_stream(replace(config(done.folder.parent), output=str(done.folder)), command="again")
    after = (done.folder / "journal.jsonl").read_text().splitlines()
    assert after == before, "nothing was asked for again"
    assert again.results.stages == done.results.stages, "with the time that they took"
    assert again.results.stream.scores == done.results.stream.scores


def test_a_lost_stage_is_done_again_to_the_same_release(done: StreamOutcome, tmp_path: Path) -> None:
    journal = done.folder / "journal.jsonl"
    kept = journal.read_text()
    gone = [line for line in kept.splitlines() if json.loads(line)["owner"] != "gamma"]
    journal.write_text("\n".join(gone) + "\n")
    try:
        again = execute_stream(replace(config(done.folder.parent), output=str(done.folder)), command="again")
        assert again.results.stages[-1].digest == done.results.stages[-1].digest
    finally:
        journal.write_text(kept)


def test_results_are_read_as_they_were_written(done: StreamOutcome, tmp_path: Path) -> None:
    done.results.save(tmp_path / "results.json")
    read = StreamResults.load(tmp_path / "results.json")
    assert read.stages == done.results.stages
    assert read.withdrawal == done.results.withdrawal
    assert read.stream.scores == done.results.stream.scores
    assert read.audits == done.results.audits


def test_a_silo_for_no_stage_is_refused_before_training(tmp_path: Path) -> None:
    wrong = config(tmp_path)
    wrong = replace(wrong, stream=replace(wrong.stream, stages=[["alpha"], ["beta"]]))
    with pytest.raises(ConfigError, match="'gamma' never arrives"):
        execute_stream(wrong, command="")
    assert not (tmp_path / "run").exists()


def _package(done: StreamOutcome, city: str) -> Path:
    return done.folder / "releases" / "release-0003" / "experts" / f"{city}.atoll"


def test_owners_measure_the_privacy_of_the_last_release_and_the_cards_say_so(done: StreamOutcome) -> None:
    audits = read_audits(done.release)
    assert audits == done.results.audits
    assert set(audits) == {"alpha", "gamma"}, "who withdrew measures nothing of what is released without it"
    for figures in audits.values():
        assert 0 <= figures["membership_loss_auc"] <= 1
        assert "membership_replay_auc" in figures
        assert "uniqueness_generated_unique" in figures
    assert "Privacy, as measured" in done.report.read_text("utf-8")
    earlier = done.folder / "releases" / "release-0001"
    assert read_audits(earlier) == {}
