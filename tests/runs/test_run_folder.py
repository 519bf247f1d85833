"""A run folder is a promise: nothing stale counts in it, nothing is in it twice, one process works in it at a time."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from atoll.config import read_config
from atoll.coordinator.config import RunConfig
from atoll.coordinator.journal import Journal
from atoll.coordinator.results import RunResults
from atoll.coordinator.run import execute
from atoll.coordinator.run_basis import RunBasis, check_basis, set_aside
from atoll.coordinator.traffic import TrafficLog
from atoll.errors import ConfigError, LedgerError
from atoll.federation.embedded import Traffic
from atoll.storage.folder_lock import sole_owner
from atoll.testing import toy_anchor

WORDS = {
    "clinic": "fever dose chart nurse wound patient ward",
    "court": "party clause liable hereby warrant shall notice",
}
QUICK = {
    "expert": {"kind": "lora", "rank": 2},
    "training": {
        "steps": 2,
        "batch": 4,
        "warmup": 1,
        "evaluate_every": 2,
        "checkpoint_every": 2,
        "validation_windows": 4,
    },
    "descriptor": {"documents": 10, "counted": 10},
    "evaluation": {"windows": 4, "batch": 4, "baselines": {}},
    "unlearning": {"documents": 0},
    "engine": {"parallel": 2},
}
Make = Callable[..., RunConfig]


def write(folder: Path, words: str, count: int = 200) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    listed = words.split()
    for number in range(count):
        text = " ".join(listed[(number * 3 + place) % len(listed)] for place in range(40 + number))
        (folder / f"{number}.txt").write_text(f"{number} {text}", encoding="utf-8")


@pytest.fixture
def make(tmp_path: Path) -> Make:
    toy_anchor(tmp_path / "anchor")
    for name, words in WORDS.items():
        write(tmp_path / "data" / name, words)

    def made(**changes: object) -> RunConfig:
        silos = [
            {
                "name": name,
                "domain": name,
                "data": {"workload": "text", "paths": [str(tmp_path / "data" / name)], "sequence_length": 32},
            }
            for name in WORDS
        ]
        path = tmp_path / "run.yaml"
        told = {
            "title": "t",
            "anchor": str(tmp_path / "anchor"),
            "output": str(tmp_path / "run"),
            "silos": silos,
            **QUICK,
        }
        path.write_text(yaml.safe_dump({**told, **changes}), encoding="utf-8")
        return read_config(RunConfig, path, [])

    return made


def trained(folder: Path) -> list[tuple[str, str]]:
    lines = (folder / "journal.jsonl").read_text("utf-8").splitlines()
    entries = [json.loads(line) for line in lines]
    return [(each["owner"], each["content"]["digest"]) for each in entries if each["event"] == "trained"]


def test_a_run_folder_keeps_its_promise(make: Make, tmp_path: Path) -> None:
    """One journey: run, run again, lose a document, change a setting, train anew."""
    folder = tmp_path / "run"
    first = execute(make(), command="atoll run")
    experts, sent = trained(folder), first.results.left

    again = execute(make(), command="atoll run")
    assert trained(folder) == experts, "nothing was asked for again"
    assert again.results.release.digest == first.results.release.digest
    assert again.results.left == sent, "and nothing left twice"

    (tmp_path / "data" / "clinic" / "7.txt").unlink()
    write(tmp_path / "data" / "clinic" / "more", WORDS["clinic"], 1)
    kept = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name != ".lock"}
    with pytest.raises(ConfigError, match=r"clinic: 1 file gone \(7\.txt\), 1 file new \(0\.txt\).*--retrain clinic"):
        execute(make(), command="atoll run")
    with pytest.raises(ConfigError, match=r"training\.steps was 2, and is 3.*--retrain clinic --retrain court"):
        execute(make(training={**QUICK["training"], "steps": 3}), command="atoll run", retrain=["clinic"])  # type: ignore[dict-item]
    with pytest.raises(ConfigError, match="--retrain names 'yard'"):
        execute(make(), command="atoll run", retrain=["yard"])
    found = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name != ".lock"}
    assert found == kept, "a refusal changes nothing"

    other = execute(make(), command="atoll run", retrain=["clinic"])
    after = dict(trained(folder))
    assert after["court"] == dict(experts)["court"]
    assert after["clinic"] != dict(experts)["clinic"]
    assert other.results.release.digest != first.results.release.digest
    earlier = RunResults.load(folder / "earlier" / "1" / "results.json")
    assert earlier.release.digest == first.results.release.digest
    execute(make(), command="atoll run")
    assert dict(trained(folder)) == after


def test_what_only_decides_where_and_how_fast_is_free_to_change(make: Make, tmp_path: Path) -> None:
    one = RunBasis.of(make())
    other = RunBasis.of(replace(make(engine={"parallel": 1, "threads": 2}), incomplete=True, output="elsewhere"))
    assert not other.changes(one, set(WORDS))
    assert one.data["clinic"]


def test_data_is_free_until_an_expert_of_it_arrived(make: Make, tmp_path: Path) -> None:
    before = RunBasis.of(make())
    (tmp_path / "data" / "clinic" / "7.txt").write_text("other")
    now = RunBasis.of(make())
    assert now.changes(before, {"court"}) == {}
    assert now.changes(before, {"clinic", "court"}) == {"clinic": ["1 file changed (7.txt)"]}


def test_a_folder_of_an_earlier_version_is_held_against_its_settings(
    make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "run"
    config = make()
    folder.mkdir()
    shutil.copy(tmp_path / "run.yaml", folder / "config.yaml")
    assert check_basis(RunBasis.of(config), folder, {"clinic"}, [])
    assert "whether the data of clinic has changed since is not known" in caplog.text
    with pytest.raises(ConfigError, match="settings: seed was 0, and is 3"):
        check_basis(RunBasis.of(make(seed=3)), folder, {"clinic"}, [])
    assert check_basis(RunBasis.of(make(seed=3)), folder, set(), [])
    (folder / "config.yaml").write_text("silos: no list")
    with pytest.raises(ConfigError, match="use a new folder"):
        check_basis(RunBasis.of(config), folder, {"clinic"}, [])


def test_what_is_set_aside_is_kept_under_the_next_number(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / "results.json").write_text(str(number))
        set_aside(tmp_path, [])
    assert [(tmp_path / "earlier" / str(n) / "results.json").read_text() for n in (1, 2)] == ["1", "2"]


def test_a_process_that_is_killed_while_it_sets_aside_leaves_nothing_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it is cut short, the owner that is to be trained anew does not count where the settings are gone."""
    rename = Path.rename
    for place in range(6):
        folder = tmp_path / str(place)
        folder.mkdir()
        for name in ("config.yaml", "basis.json", "results.json", "report.html", "traffic.jsonl"):
            (folder / name).write_text(name)
        journal = Journal(folder / "journal.jsonl")
        for owner in WORDS:
            journal.write("trained", owner, "u", {})
        moved = iter(range(place))

        def cut(self: Path, target: Path, moved: Iterator[int] = moved) -> Path:
            if next(moved, None) is None:
                raise KeyboardInterrupt
            return rename(self, target)

        monkeypatch.setattr(Path, "rename", cut)
        try:
            set_aside(folder, ["clinic"])
        except KeyboardInterrupt:
            assert (folder / "config.yaml").exists()
        assert Journal(folder / "journal.jsonl").owners("trained") == {"court"}


def test_announcements_are_counted_once(tmp_path: Path) -> None:
    log = TrafficLog(tmp_path / "traffic.jsonl")
    for size in (10, 12):
        log.write(Traffic("clinic", "out", "query", size))
        log.write(Traffic("clinic", "in", "query", size))
        log.write(Traffic("clinic", "out", "train", size))
    assert [each.bytes for each in log.read()] == [10, 10, 10, 12]


def test_one_process_works_in_a_folder(make: Make, tmp_path: Path) -> None:
    config = make()
    Path(config.output).mkdir()
    holding = (
        "import sys; from pathlib import Path; from atoll.storage.folder_lock import sole_owner\n"
        "with sole_owner(Path(sys.argv[1]) / '.lock', 'x'): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holding, config.output], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(LedgerError, match="another process works here, and only one may") as refused:
            execute(config, command="atoll run")
        assert refused.value.exit_code == 9
        assert not (Path(config.output) / "config.yaml").exists()
        other.kill()
    with sole_owner(Path(config.output) / ".lock", "x"):
        pass  # a dead one holds nobody up


def test_files_are_known_however_they_are_named(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a pattern, from the home folder, or relatively: what changes is noticed, and what is not there is said."""
    from atoll.workloads.mobility import MobilityConfig
    from atoll.workloads.tabular.config import TabularConfig
    from atoll.workloads.workload import workload_class

    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "a.csv").write_text("x\n1\n")
    for paths in (["~/tables/*.csv"], ["~/tables"], [str(tmp_path / "tables" / "a.csv")]):
        silo = replace(make().silos[0], data=TabularConfig(paths=paths))
        basis = RunBasis.of(replace(make(), silos=[silo]))
        assert list(basis.data["clinic"]) == [str(tmp_path / "tables" / "a.csv")], paths
    with pytest.raises(ConfigError, match="does not exist"):
        workload_class("tabular").check_data(TabularConfig(paths=[str(tmp_path / "nowhere")]))
    workload_class("mobility").check_data(MobilityConfig(format="generated"))
