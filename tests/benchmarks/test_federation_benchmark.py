"""The engines' benchmark runs and says what it measured. No time is looked at."""

import json
import sys
from pathlib import Path

import pytest

from atoll.benchmarks.federation.client import toy_model
from atoll.benchmarks.federation.compare import Row, main, ratios, verdicts
from atoll.benchmarks.federation.engines import EMBEDDED, ENGINES, PLAIN, SIMULATION
from atoll.benchmarks.federation.session import Round


def written(folder: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> dict[str, object]:
    """What the command writes."""
    pytest.importorskip("peft")  # whose version is part of it
    pytest.importorskip("transformers")
    monkeypatch.setattr(sys, "argv", ["federation", *arguments, "--steps", "1", "--out", str(folder / "found.json")])
    main()
    found: dict[str, object] = json.loads((folder / "found.json").read_text())
    return found


@pytest.mark.parametrize(
    ("engines", "sizes"),
    [((EMBEDDED,), (1, 2)), pytest.param((SIMULATION, PLAIN), (2,), marks=pytest.mark.suite)],
    ids=["processes", "ray"],
)
def test_every_engine_tells_the_same_things(
    engines: tuple[str, ...],
    sizes: tuple[int, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if EMBEDDED not in engines:
        pytest.importorskip("ray", reason="Ray is not installed: pip install 'atoll[simulation]'")
    arguments = ["--engines", *engines, "--silos", *map(str, sizes), "--repeats", "2"]
    found = written(tmp_path, monkeypatch, *arguments)
    assert {"commit", "machine", "torch", "flwr", "ray", "load", "settings"} <= found.keys()
    rows = [Row(**row) for row in found["rows"]]  # type: ignore[attr-defined]
    assert [(row.silos, row.engine) for row in rows] == [(silos, engine) for silos in sizes for engine in engines]
    model = sum(parameter.nbytes for parameter in toy_model(0).parameters())
    for row in rows:
        assert len(row.overhead_seconds) == 2
        assert row.startup_seconds > 0
        assert row.work_seconds > 0
        assert model < row.bytes_out < 1.01 * model
        assert model < row.bytes_in < 1.01 * model
    assert "Overhead of a work unit" in capsys.readouterr().out


def test_overhead_is_what_the_work_does_not_explain() -> None:
    # Four units of one second on two cores are two seconds; the third second is a quarter for each unit.
    assert Round(3.0, (1.0,) * 4, 0, 0).overhead(parallel=2) == 0.25
    assert Round(1.5, (1.0,), 0, 0).overhead(parallel=2) == 0.5


def test_the_embedded_engine_is_compared_with_those_that_ran() -> None:
    rows = [
        Row(engine, silos, 1.0, 1.0, overheads, 1.0, 1.0)
        for engine, silos, overheads in [
            (EMBEDDED, 4, (1.0, 3.0)),
            (SIMULATION, 4, (10.0, 30.0)),
            (EMBEDDED, 16, (1.0, 1.0)),
            (PLAIN, 16, (2.0, 2.0)),
        ]
    ]
    assert ratios(rows) == {SIMULATION: {4: 0.1}, PLAIN: {16: 0.5}}
    assert [sentence.partition(":")[0] for sentence in verdicts(rows)] == ["yes", "no"]
    assert set(ENGINES) >= {EMBEDDED, SIMULATION, PLAIN}
