import json
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from atoll.coordinator.config import RunConfig, SiloConfig
from atoll.coordinator.results import RunResults
from atoll.coordinator.tracking import Tracker, flattened, store_uri, ui_command

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(autouse=True)
def _no_store(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_REGISTRY_URI"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "a run"


def client(folder: Path) -> MlflowClient:
    return MlflowClient(tracking_uri=store_uri(folder), registry_uri=store_uri(folder))


def test_a_run_is_tracked(folder: Path, results: RunResults, tmp_path: Path) -> None:
    release = tmp_path / "releases" / "release-0001"
    release.mkdir(parents=True)
    (tmp_path / "report.html").write_text("<p>report</p>")
    config = RunConfig(title="four", silos=[SiloConfig(name="hospital", domain="d")])
    members = {member.owner: member.digest for member in results.release.members}
    with Tracker(folder, "four") as tracker:
        tracker.log_params(config)
        tracker.log_results(results)
        tracker.log_artifact(tmp_path / "report.html")
        version = tracker.register_release(release, digest=results.release.digest, members=members, guarantee="exact")
        again = tracker.register_release(release, digest=results.release.digest, members=members, guarantee="exact")
        other = tracker.register_release(release, digest="sha256:other", members={}, guarantee="exact")
        run_id = tracker.run_id
    assert (version, again, other) == ("1", "1", "2")

    seen = client(folder)
    run = seen.get_run(run_id)
    assert run.info.run_name == "four"
    assert run.info.status == "FINISHED"
    assert run.data.params["silos.0.name"] == "hospital"
    assert run.data.params["training.steps"] == str(config.training.steps)
    metrics = run.data.metrics
    assert metrics["loss/law-firm/own expert"] == 2.40
    assert metrics["loss/library/without library"] == pytest.approx(3.93)
    assert metrics["loss/mean/mixture"] == pytest.approx(results.mean_loss("mixture"))
    assert metrics["routing/hospital/anchor"] == 0.1
    assert metrics["seconds/train"] == 241.5
    assert metrics["bytes-out/law-firm/expert package"] == 4_001_000
    assert metrics["bytes-in/law-firm/mixture"] == 12_000_000
    assert metrics["share-of-gain/library"] == pytest.approx(results.share_of_gain["library"])
    assert metrics["withdrawal/loss-after"] == 3.93
    (model, _, page) = sorted(found.path for found in seen.list_artifacts(run_id))
    assert (model.startswith("release-"), page) == (True, "report.html")
    assert (folder / "mlartifacts").is_dir()
    made = seen.get_model_version("atoll-release", "1")
    assert made.source is not None
    assert made.source.endswith(model)
    assert made.tags["release"] == str(release)
    assert made.run_id == run_id
    assert made.tags["digest"] == results.release.digest
    assert made.tags["guarantee"] == "exact"
    assert made.tags["members"] == "hospital, law-firm, library, software-house"
    assert made.tags["expert.hospital"] == members["hospital"]


def test_a_run_folder_goes_on_with_its_run(folder: Path) -> None:
    with Tracker(folder) as tracker:
        tracker.log_params({"steps": 3, "seed": 1})
        tracker.log_metrics({"loss": 2.0})
        first = tracker.run_id
    with pytest.raises(RuntimeError), Tracker(folder) as tracker:  # noqa: PT012 - what is raised comes last
        assert tracker.run_id == first
        assert client(folder).get_run(first).info.status == "RUNNING"
        tracker.log_params({"steps": 4, "seed": 1, "batch": 8})
        tracker.log_metrics({"loss": 1.0})
        raise RuntimeError
    run = client(folder).get_run(first)
    assert run.info.status == "FAILED"
    assert run.data.params == {"steps": "3", "seed": "1", "batch": "8"}
    assert run.data.tags["changed.steps"] == "4"
    assert run.data.metrics == {"loss": 1.0}
    assert len(client(folder).search_runs([run.info.experiment_id])) == 1


def test_a_run_that_was_deleted_is_begun_anew(folder: Path) -> None:
    with Tracker(folder) as tracker:
        first = tracker.run_id
    client(folder).delete_run(first)
    with Tracker(folder) as tracker:
        assert tracker.run_id != first


def test_what_mlflow_does_not_take_does_not_end_a_run(folder: Path, results: RunResults) -> None:
    odd = {"st. <mary> & søn": {"anchor": float("nan"), "mixture": 1.0}}
    silo = replace(results.silos[0], status="failed", failure="x" * 20_000)
    with Tracker(folder) as tracker:
        tracker.log_params({"text": "y" * 20_000, "none": None, "empty": []})
        tracker.log_results(replace(results, losses=odd, silos=[silo]))
        run_id = tracker.run_id
    run = client(folder).get_run(run_id)
    assert run.data.metrics["loss/st. _mary_ _ s_n/mixture"] == 1.0
    assert run.data.tags["not-finite.loss/st. _mary_ _ s_n/anchor"] == "nan"
    assert run.data.tags["failure.hospital"].startswith("xxx")
    assert run.data.params["empty"] == "[]"


def test_flattened() -> None:
    config = {"a": {"b": 1, "c": [{"d": 2}, "e"], "f": {}}, "g": None}
    assert flattened(config) == {"a.b": 1, "a.c[0].d": 2, "a.c[1]": "e", "a.f": {}, "g": None}
    assert flattened({}) == {}


def test_tracking_says_nothing(folder: Path) -> None:
    imports = "from pathlib import Path\nfrom atoll.coordinator.tracking import Tracker\n"
    code = f"{imports}with Tracker(Path({str(folder)!r})): pass"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=folder.parent)
    assert (done.stdout, done.stderr) == ("", "")
    assert sorted(entry.name for entry in folder.parent.iterdir()) == ["a run"]


def test_the_command_quotes_the_folder(folder: Path) -> None:
    parts = shlex.split(ui_command(folder))
    assert parts[:4] == ["mlflow", "ui", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]


@pytest.fixture
def server(folder: Path) -> Iterator[str]:
    """What the printed command serves."""
    with Tracker(folder, "shown") as tracker:
        tracker.log_metrics({"loss": 1.0})
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = Path(sys.executable).parent / "mlflow"
    command = [str(program), *shlex.split(ui_command(folder))[1:], "--port", str(port), "--workers", "1"]
    started = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        import os

        os.killpg(started.pid, signal.SIGTERM)
        try:
            started.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(started.pid, signal.SIGKILL)
            started.wait(20)


@pytest.mark.slow
def test_the_printed_command_shows_the_run(server: str) -> None:
    end = time.monotonic() + 150
    while True:
        try:
            with urllib.request.urlopen(server, timeout=5) as page:
                assert page.status == 200
                break
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            if time.monotonic() > end:
                raise
            time.sleep(1)
    request = urllib.request.Request(
        f"{server}/api/2.0/mlflow/experiments/search",
        data=json.dumps({"max_results": 10}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        found = {experiment["name"]: experiment["experiment_id"] for experiment in json.load(answer)["experiments"]}
    request = urllib.request.Request(
        f"{server}/api/2.0/mlflow/runs/search",
        data=json.dumps({"experiment_ids": [found["atoll"]]}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert [run["info"]["run_name"] for run in json.load(answer)["runs"]] == ["shown"]


@pytest.mark.parametrize("name", ["a?b", "a%41b#c", "[x] &=;@:", "${y}\n‘é."])
def test_a_store_is_in_its_folder_whatever_that_is_called(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    with Tracker(folder, "odd") as tracker:
        tracker.log_metrics({"loss": 1.0})
        (tmp_path / "page.txt").write_text("page", encoding="utf-8")
        tracker.log_artifact(tmp_path / "page.txt")
    assert client(folder).get_run(tracker.run_id).data.metrics == {"loss": 1.0}
    assert (folder / "mlflow.db").is_file()
    assert list(folder.rglob("page.txt"))
    assert {path.name for path in tmp_path.iterdir()} == {name, "page.txt"}
