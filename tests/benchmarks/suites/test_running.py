"""``atoll bench`` with real processes: nothing twice, nothing lost, everything tracked."""

import csv
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pytest

from atoll.benchmarks.suites.record import SuiteFolder
from atoll.benchmarks.suites.suite import read_suite
from atoll.coordinator.tracking import store_uri
from atoll.storage.folder_lock import sole_owner

pytestmark = [pytest.mark.slow]


def bench(*arguments: str, code: int = 0) -> str:
    found = subprocess.run(
        [sys.executable, "-m", "atoll.cli.app", "bench", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "220"},
    )
    assert found.returncode == code, found.stdout + found.stderr
    return found.stdout + found.stderr


def times_run(folder: SuiteFolder) -> list[int]:
    marks = [folder.of(cell) / "ran" for cell in folder.suite.cells]
    return [len(mark.read_text()) if mark.exists() else 0 for mark in marks]


@pytest.mark.timeout(600)
def test_a_suite_is_run_once_tracked_reported_and_compared(coins: Path, tmp_path: Path) -> None:
    work = tmp_path / "work?#%41 [x]=${y}"
    few = ["vary={chance: [0.3]}"]
    said = bench("run", str(coins), *few, "--jobs", "2", "--work", str(work), "--device", "cpu")
    assert "yes: 0.3: lucky, much against honest" in said
    folder = SuiteFolder(work / "coins", read_suite(str(coins), few))
    assert times_run(folder) == [1] * 6
    bench("run", str(coins), *few, "seeds=[0, 1, 2, 3]", "--work", str(work))
    assert times_run(folder) == [1] * 6, "what is done is not run again"

    results = json.loads((work / "coins" / "results.json").read_text())
    assert len(results["cells"]) == 8
    assert results.keys() >= {"commit", "machine", "torch", "numpy"}
    assert {cell["seed"] for cell in results["cells"]} == {0, 1, 2, 3}
    with (work / "coins" / "results.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    shares = {(row["method"], row["seed"]): float(row["value"]) for row in rows if row["figure"] == "share"}
    assert shares["lucky, much", "0"] == pytest.approx(shares["honest", "0"] + 0.2)

    client = mlflow.MlflowClient(tracking_uri=store_uri(work))
    experiment = client.get_experiment_by_name("bench/coins")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], max_results=100)
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert len(parents) == 1
    nested = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parents[0].info.run_id]
    assert len(nested) == 8
    assert all(run.info.status == "FINISHED" for run in runs)
    one = next(run for run in nested if run.data.params["label"] == "honest" and run.data.params["seed"] == "0")
    assert one.data.metrics["share"] == pytest.approx(shares["honest", "0"])
    history = client.get_metric_history(one.info.run_id, "R/heads/a")
    assert [point.step for point in sorted(history, key=lambda point: point.step)] == [0, 1, 2]

    bench("report", str(coins), *few, "--work", str(work))
    page = (work / "coins" / "report.html").read_text()
    assert "data:image/png;base64" in page
    assert "http" not in page.replace("http-equiv", "")
    assert "Bernoulli 1713" in page
    names = {path.name for path in (work / "coins" / "figures").rglob("*.png")}
    assert {"metric.png", "forgetting.png", "front-seconds.png", "front-bytes-moved.png", "curve-heads.png"} <= names
    assert any(name.startswith("matrix-") for name in names)
    tables = (work / "coins" / "tables.md").read_text()
    last = [shares["honest", seed] for seed in "012"]
    ended = f"{statistics.fmean(last) - 0.05:.4f} ± {statistics.stdev(last):.4f}"
    assert f"| method | a | b |\n| --- | ---: | ---: |\n| honest | {ended} |" in tables
    assert "- yes: 0.3: lucky, much against honest" in tables
    said = bench("compare", str(coins), *few, "--against", "honest", "--work", str(work))
    assert "+0.2000" in said
    said = bench("compare", str(coins), *few, "--with", str(work), "--work", str(work))
    assert "+0.0000" in said


@pytest.mark.timeout(300)
def test_a_cell_that_fails_is_named_and_the_others_are_kept(
    coins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = ["vary={chance: [0.3]}", "seeds=[0]", "methods=[broken, honest]", "--work", str(tmp_path / "work")]
    said = bench("run", str(coins), *few, code=8)
    assert "the coin rolled under the table" in said
    assert "1 of 2 cells failed" in said
    monkeypatch.setenv("COINS_MENDED", "1")
    bench("run", str(coins), *few)
    folder = SuiteFolder(tmp_path / "work" / "coins", read_suite(str(coins), few[:3]))
    assert times_run(folder) == [2, 1], "only the broken one was run again"


@pytest.mark.timeout(300)
def test_a_suite_that_is_stopped_stops_its_cells_and_goes_on(coins: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "atoll.cli.app", "bench", "run", str(coins)]
    few = ["vary={chance: [0.3]}", "seeds=[0]", "methods=[honest, slow]", "--jobs", "1", "--work", str(tmp_path)]
    process = subprocess.Popen([*command, *few], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    folder = SuiteFolder(tmp_path / "coins", read_suite(str(coins), few[:3]))
    slow = folder.of(folder.suite.cells[1]) / "ran"
    for _ in range(2000):
        if slow.exists():
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "goes on" in said
    workers = subprocess.run(["pgrep", "-f", str(slow.parent)], capture_output=True, text=True, check=False).stdout
    assert not workers.strip(), "no cell outlives its suite"
    assert times_run(folder) == [1, 1]


@pytest.mark.timeout(300)
def test_figures_out_of_bounds_fail_the_run(coins: Path, tmp_path: Path) -> None:
    few = ["vary={chance: [0.3]}", "seeds=[0]", "methods=[honest]", "--work", str(tmp_path)]
    bench("run", str(coins), *few, 'bounds={"0.3": {honest: {share: [0.2, 0.4]}}}')
    said = bench("run", str(coins), *few, 'bounds={"0.3": {honest: {share: [0.6, 0.9]}}}', code=8)
    assert "share is" in said
    assert "0.6 to 0.9" in said


def test_nothing_done_is_said(coins: Path, tmp_path: Path) -> None:
    assert "run it first" in bench("report", str(coins), "--work", str(tmp_path / "none"), code=2)


def test_one_process_runs_a_suite_in_a_folder(coins: Path, tmp_path: Path) -> None:
    folder = SuiteFolder(tmp_path / "coins", read_suite(str(coins), []))
    folder.path.mkdir(parents=True)
    with sole_owner(folder.path / ".lock", "x"):
        said = bench("run", str(coins), "--work", str(tmp_path), code=9)
    assert "another process works here, and only one may" in " ".join(said.split())
    assert times_run(folder) == [0] * len(folder.suite.cells)
