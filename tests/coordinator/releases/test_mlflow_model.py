"""A registered release answers through MLflow alone, and never for whom its ledger does not permit."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest

from atoll.coordinator.config import RunConfig
from atoll.coordinator.erasure.tracking_stores import erase_tracked
from atoll.coordinator.generate import Sampling, generate
from atoll.coordinator.run import track
from atoll.coordinator.tracking import MODEL, Tracker, open_store, store_file, store_uri, ui_command, used_stores
from atoll.errors import MixtureError
from atoll.ledger import Ledger, OwnerAdmitted, Released, UseRestricted, acceptance
from atoll.releases.opening import OpenRelease

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
OWNERS = {"clinic", "library", "office"}


@pytest.fixture(autouse=True)
def _no_store(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_REGISTRY_URI"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def opened(make: Callable[..., OpenRelease], tmp_path: Path) -> OpenRelease:
    """A release in a run folder ``run``, with its ledger, tracked and registered."""
    found = make()
    place = tmp_path / "run" / "releases" / "release-0001"
    shutil.copytree(tmp_path / "release", place)
    with Ledger.open(tmp_path / "run" / "ledger.db") as ledger:
        for expert in found.experts:
            assert expert.signed is not None
            owner = expert.card.owner
            ledger.record(OwnerAdmitted(owner=owner, domain="d", public_key=expert.public_key.hex))
            ledger.record(acceptance(expert.card, expert.signed, expert.digest))
        release = found.release
        digests = [member.digest for member in release.members]
        ledger.record(Released(number=release.number, digest=found.made, guarantee=release.guarantee, members=digests))
    with Tracker(tmp_path / "run") as tracker:
        register(tracker, found, place)
    return found


def register(tracker: Tracker, found: OpenRelease, place: Path, digest: str = "", without: str = "") -> str:
    members = {member.owner: member.digest for member in found.release.members if member.owner != without}
    return tracker.register_release(
        place, digest=digest or found.made, members=members, guarantee="exact", workload="text"
    )


def load(run: Path, version: object = 1, **moved: str) -> Any:
    mlflow.set_tracking_uri(store_uri(run))
    return mlflow.pyfunc.load_model(f"models:/{MODEL}/{version}", model_config=moved or None)


def withdraw(run: Path, owner: str) -> None:
    with Ledger.open(run / "ledger.db", create=False) as ledger:
        ledger.record(UseRestricted(owner=owner, expert="", purposes=[], until=None, reason="test"))


def who(model: Any, **params: Any) -> set[str]:
    """Owners with a share in an answer."""
    answer = model.predict(["the clerk"], params={"purpose": "tests", "tokens": 2, **params})
    return {name for name in OWNERS if answer[f"share/{name}"][0] > 0}


def test_answers_are_the_mixtures_and_the_ledger_is_asked_before_each(opened: OpenRelease, tmp_path: Path) -> None:
    run = tmp_path / "run"
    model = load(run)
    answer = model.predict(["the clerk", "he"], params={"purpose": "tests", "tokens": 4})
    for place, prompt in enumerate(("the clerk", "he")):
        own = generate(opened.mixture, opened.anchor.tokenizer(), prompt, sampling=Sampling(tokens=4))
        assert answer["text"][place] == own.text
        assert answer["share/clinic"][place] == pytest.approx(own.shares["clinic"], abs=1e-6)
    assert (answer["log_likelihood"] < 0).all()
    alone = model.predict({"prompt": ["the"], "continuation": [" clerk"]}, params={"purpose": "tests", "tokens": 0})
    assert alone["text"][0] == ""
    assert 0 < alone["tokens"][0] < answer["tokens"][0] + 5

    assert who(model) == OWNERS
    assert who(model, entitlement=["clinic", "office"]) == {"clinic", "office"}
    assert who(model, entitlement=[]) == set()
    with pytest.raises(MixtureError, match="nobody-known"):
        who(model, entitlement=["nobody-known"])
    with pytest.raises(MixtureError, match="no owner permits"):
        who(model, purpose="advertising")
    withdraw(run, "clinic")
    assert who(model) == OWNERS - {"clinic"}
    assert who(model, entitlement=["clinic"]) == set(), "an entitlement only narrows"
    assert who(model, entitlement=["clinic", "office"]) == {"office"}
    assert who(load(run), entitlement=["clinic", "office"]) == {"office"}


def test_what_is_loaded_is_what_was_registered(opened: OpenRelease, tmp_path: Path) -> None:
    run, moved = tmp_path / "run", tmp_path / "elsewhere"
    shutil.move(run / "releases" / "release-0001", moved)
    with pytest.raises(MixtureError, match="ATOLL_RELEASE"):
        load(run)
    with pytest.raises(MixtureError, match="no ledger"):
        load(run, release=str(moved))
    assert who(load(run, release=str(moved), ledger=str(run / "ledger.db"))) == OWNERS
    with Tracker(run) as tracker:
        assert register(tracker, opened, moved, digest="sha256:other") == "2"
    with pytest.raises(MixtureError, match="sha256:other"):
        load(run, 2, ledger=str(run / "ledger.db"))


def test_the_newest_release_is_the_current_one_and_former_ones_are_marked(opened: OpenRelease, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with Tracker(run) as tracker:
        assert register(tracker, opened, run / "releases" / "release-0002", digest="sha256:2", without="clinic") == "2"
        assert register(tracker, opened, run / "releases" / "release-0001") == "1", "once"
    client = open_store(run)
    former, newest = (client.get_model_version(MODEL, number) for number in ("1", "2"))
    assert (former.tags["superseded_by"], former.tags["withdrawn"]) == ("2", "clinic")
    assert not {"superseded_by", "withdrawn"} & set(newest.tags)
    assert client.get_model_version_by_alias(MODEL, "current").version == newest.version
    # Small, and with nobody's expert in it.
    kept = [file for file in (run / "mlartifacts").rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in kept) < 20_000
    assert not [file for file in kept if file.suffix in (".pkl", ".atoll", ".safetensors")]


def test_a_store_and_an_experiment_that_the_environment_names(
    opened: OpenRelease, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, run = tmp_path / "other", tmp_path / "second"
    other.mkdir()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store_uri(other))
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "hospitals")
    with Tracker(run, "named") as tracker:
        register(tracker, opened, tmp_path / "run" / "releases" / "release-0001")
    assert not store_file(run).exists()
    client = open_store(other)
    experiment = client.get_experiment_by_name("hospitals")
    assert experiment is not None
    assert [found.info.run_name for found in client.search_runs([experiment.experiment_id])] == ["named"]
    assert used_stores(run) == [store_uri(other)]
    assert (run / "mlflow-stores").stat().st_mode & 0o077 == 0, "an address may hold a password"
    assert str(other) not in ui_command(run)
    assert who(load(other)) == OWNERS
    # Erasure goes to the store that was used, whatever the environment says by then.
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    clinic = next(member.digest for member in opened.release.members if member.owner == "clinic")
    assert erase_tracked(run, clinic) == ""
    assert client.get_model_version(MODEL, "1").tags["erased.clinic"] == clinic


def test_a_store_that_is_away_costs_the_tracking_and_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    track(RunConfig(title="away"), tmp_path, lambda tracker: None)
    assert "not tracked in MLflow" in caplog.text


def test_losses_of_training_are_curves(tmp_path: Path) -> None:
    from atoll.experts.loss_curve import CURVE, append_losses

    work = tmp_path / "run" / "silos" / "clinic" / "work" / "one"
    for step, loss in ((1, 3.0), (2, 2.0), (2, 1.5)):
        append_losses(work / CURVE, step, training=loss)
    append_losses(work / CURVE, 2, validation=4.0)
    with (work / CURVE).open("a") as file:
        file.write('{"step": 3, "trai')
    with Tracker(tmp_path / "run") as tracker:
        tracker.log_curves(tmp_path / "run" / "silos")
    client = open_store(tmp_path / "run")
    seen = client.get_metric_history(tracker.run_id, "training-loss/clinic")
    assert [(each.step, each.value) for each in seen] == [(1, 3.0), (2, 1.5)]
    (only,) = client.get_metric_history(tracker.run_id, "validation-loss/clinic")
    assert (only.step, only.value) == (2, 4.0)
