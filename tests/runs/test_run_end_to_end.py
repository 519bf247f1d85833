"""Whole runs in real processes, with the shipped anchor and a few steps of training."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from atoll.coordinator.results import RunResults
from atoll.ledger import Ledger

if not Path("/proc").exists():
    pytest.skip("finds processes in /proc, which is not here", allow_module_level=True)

WORDS = {
    "clinic": "fever dose chart nurse wound patient ward pulse fracture acute chronic left right unspecified",
    "court": "party clause liable hereby warrant terminate licence agreement shall notice damages consent",
    "yard": "anchor rope tide harbour keel mast sail cargo crew deck hull wind north berth",
}
RUN = [sys.executable, "-m", "atoll.cli.app", "run"]


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    said: str


def write_silo(folder: Path, name: str, documents: int = 160) -> Path:
    """Documents of one domain's words, as JSONL."""
    draw = random.Random(name)
    words = WORDS[name].split()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "notes.jsonl"
    lines = [json.dumps({"text": " ".join(draw.choices(words, k=60))}) for _ in range(documents)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def federation(tmp_path: Path) -> Callable[..., Path]:
    """Writes three silos and a configuration that trains them for a few steps; returns the configuration's path."""

    def write(**changes: Any) -> Path:
        silos = []
        for name in WORDS:
            data = write_silo(tmp_path / "data" / name, name)
            text = {"paths": [str(data)], "field": "text", "sequence_length": 64}
            silos.append({"name": name, "domain": f"words of a {name}", "data": text})
        config: dict[str, Any] = {
            "title": "Three small silos",
            "output": str(tmp_path / "run"),
            "silos": silos,
            "expert": {"kind": "lora", "rank": 4, "last_layers": 2},
            "training": {"steps": 4, "batch": 2, "warmup": 1, "evaluate_every": 2, "validation_windows": 2},
            "descriptor": {"documents": 24},
            "evaluation": {"windows": 4, "batch": 2},
            "withdraw": "yard",
            "prompt": "The crew",
        }
        config.update(changes)
        path = tmp_path / "federation.yaml"
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        return path

    return write


def run(config: Path, *overrides: str) -> Ended:
    """``atoll run`` to its end, in a process of its own."""
    done = subprocess.run(
        [*RUN, str(config), *overrides],
        capture_output=True,
        text=True,
        check=False,
        cwd=config.parent,
        env=environment(),
    )
    return Ended(done.returncode, done.stdout + done.stderr)


def start(config: Path, *overrides: str) -> "subprocess.Popen[str]":
    """``atoll run`` in the background."""
    with (config.parent / "run.log").open("w") as log:
        return subprocess.Popen(
            [*RUN, str(config), *overrides], stdout=log, stderr=log, text=True, cwd=config.parent, env=environment()
        )


def environment() -> dict[str, str]:
    return {**os.environ, "COLUMNS": "160", "OMP_NUM_THREADS": "1"}


def workers(folder: Path) -> dict[str, int]:
    """Process ids of a run's workers, by silo."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if "atoll.federation.worker" in command:
                own = Path(command[command.index("--folder") + 1])
                if own.is_relative_to(folder):
                    found[own.name] = int(entry.name)
    return found


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    """Wait until something has happened."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def kill(process: int) -> None:
    os.kill(process, signal.SIGKILL)


Federation = Callable[..., Path]


def test_a_run_leaves_what_the_readme_promises(federation: Federation, tmp_path: Path) -> None:
    ended = run(federation())
    assert ended.code == 0, ended.said
    folder = tmp_path / "run"
    results = RunResults.load(folder / "results.json")
    assert {silo.name: silo.status for silo in results.silos} == {"clinic": "ok", "court": "ok", "yard": "ok"}
    for losses in results.losses.values():
        assert losses["own expert"] < losses["anchor"]
        assert {"mixture", "soup", "ensemble (uniform)", "ensemble (posterior)", "without yard"} <= losses.keys()
    gone = results.withdrawal
    assert gone is not None
    assert gone.loss_after == pytest.approx(gone.loss_never_had, abs=1e-5)
    assert gone.loss_before < gone.loss_after
    left = gone.unlearning
    assert (left["unlearning_after_privacy_leakage"], left["unlearning_after_ks_p"]) == (0, 1)
    assert left["unlearning_before_forget_loss"] < left["unlearning_after_forget_loss"]
    assert {f"unlearning_before_auc_{attack}" for attack in ("loss", "zlib", "min_k", "reference")} <= left.keys()
    assert results.release.guarantee.startswith("exact")
    sent = {item.what for item in results.transfers if item.direction == "out"}
    assert sent == {"announcement", "expert package", "metrics", "statement on consent", "exit scorecard"}
    for name in ("report.html", "config.yaml", "mlflow.db", "figures/losses.png", "figures/routing.png"):
        assert (folder / name).stat().st_size > 0, name
    with sqlite3.connect(folder / "mlflow.db") as store:
        assert store.execute("select count(*) from model_versions").fetchone() == (2,)
        curves = "select count(distinct step) from metrics where key = ?"
        assert store.execute(curves, ["training-loss/clinic"]).fetchone() == (4,)
        assert store.execute(curves, ["validation-loss/clinic"]).fetchone() == (3,)
    with Ledger.open(folder / "ledger.db", create=False) as ledger:
        ledger.verify()
        state = ledger.state()
    assert [made.released.digest for made in state.releases.values()] == [results.release.digest, gone.release_digest]
    assert {owner: list(state.periods(owner)) for owner in WORDS} == {"clinic": [1, 2], "court": [1, 2], "yard": [1]}
    assert state.periods("yard")[1][0].end is not None
    assert "Unlearning scorecard of yard's exit" in ended.said
    with sqlite3.connect(folder / "mlflow.db") as store:
        assert store.execute("select count(*) from metrics where key like 'withdrawal/unlearning%'").fetchone()[0] > 10
    assert "mlflow ui --backend-store-uri" in ended.said
    assert "yes: without yard the mixture is as one that never had it" in ended.said
    assert not workers(folder)


@pytest.mark.suite
def test_the_same_seed_gives_the_same_release(federation: Federation, tmp_path: Path) -> None:
    config = federation(withdraw="", evaluation={"windows": 1, "batch": 1, "baselines": {}})
    digests = []
    for again in ("first", "second"):
        ended = run(config, f"output={tmp_path / again}", "prompt=''")
        assert ended.code == 0, ended.said
        release = RunResults.load(tmp_path / again / "results.json").release
        digests.append((release.digest, [member.digest for member in release.members]))
        # Owners' keys are made at random; the digest must not depend on them.
    assert digests[0] == digests[1]


@pytest.mark.suite
def test_a_silo_that_is_killed_is_left_out_and_comes_back(federation: Federation, tmp_path: Path) -> None:
    config = federation()
    longer = ("training.steps=60", "training.evaluate_every=60", "training.checkpoint_every=1")
    folder = tmp_path / "run"
    process = start(config, *longer)
    checkpoints = folder / "silos" / "court" / "work"
    wait_for(lambda: bool(list(checkpoints.glob("*/checkpoint.pt"))))
    kill(workers(folder)["court"])
    assert process.wait(240) == 0, (tmp_path / "run.log").read_text()
    said = (tmp_path / "run.log").read_text()
    assert "left out: court: its worker died (signal 9)" in " ".join(said.split())
    results = RunResults.load(folder / "results.json")
    assert [silo.name for silo in results.silos if silo.status != "ok"] == ["court"]
    assert [member.owner for member in results.release.members] == ["clinic", "yard"]
    before = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]

    ended = run(config, *longer)
    assert ended.code == 0, ended.said
    results = RunResults.load(folder / "results.json")
    assert [member.owner for member in results.release.members] == ["clinic", "court", "yard"]
    assert "clinic: its expert had arrived before" in ended.said
    after = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    assert after[: len(before)] == before
    assert [entry["owner"] for entry in after[len(before) :] if entry["event"] == "trained"] == ["court"]
    with Ledger.open(folder / "ledger.db", create=False) as ledger:
        ledger.verify()
        state = ledger.state()
    assert {owner: list(state.periods(owner)) for owner in WORDS} == {
        "clinic": [1, 2, 3, 4],
        "court": [3, 4],
        "yard": [1, 3],
    }
    # It withdrew, consented again by taking part again, and withdrew again.
    assert [period.end is None for period in state.periods("yard")[1]] == [False, False]


def test_a_coordinator_that_is_killed_goes_on_where_it_was(federation: Federation, tmp_path: Path) -> None:
    config = federation()
    folder = tmp_path / "run"
    process = start(config)
    journal = folder / "journal.jsonl"
    wait_for(lambda: journal.exists() and "trained" in journal.read_text())
    process.kill()
    process.wait()
    wait_for(lambda: not workers(folder))
    arrived = {json.loads(line)["owner"] for line in journal.read_text().splitlines()}
    ended = run(config)
    assert ended.code == 0, ended.said
    for owner in arrived:
        assert f"{owner}: its expert had arrived before" in ended.said


def test_unusable_data_is_known_before_any_training(federation: Federation, tmp_path: Path) -> None:
    config = federation()
    (tmp_path / "data" / "clinic" / "notes.jsonl").unlink()
    (tmp_path / "data" / "court" / "notes.jsonl").write_bytes(b'{"text": "\xff\xfe"}\n')
    (tmp_path / "data" / "yard" / "notes.jsonl").write_text('{"body": "none"}\n')
    ended = run(config)
    assert ended.code != 0
    assert "Traceback" not in ended.said
    assert "phase: train" not in ended.said
    said = " ".join(ended.said.split())
    for told in (
        "clinic: ",
        "data/clinic",
        "court: ",
        "court/notes.jsonl",
        "yard: ",
        "yard/notes.jsonl",
        "there are body",
    ):
        assert told in said, told
    assert not (tmp_path / "run" / "journal.jsonl").exists()


@pytest.mark.suite
def test_a_run_goes_on_without_unusable_data_when_told_so(federation: Federation, tmp_path: Path) -> None:
    config = federation(evaluation={"windows": 1, "batch": 1})
    (tmp_path / "data" / "court" / "notes.jsonl").unlink()
    ended = run(config, "incomplete=true")
    assert ended.code == 0, ended.said
    results = RunResults.load(tmp_path / "run" / "results.json")
    assert [silo.name for silo in results.silos if silo.status != "ok"] == ["court"]
    assert [member.owner for member in results.release.members] == ["clinic", "yard"]
