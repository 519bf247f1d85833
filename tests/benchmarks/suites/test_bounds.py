"""The regression guard: what is recorded holds for what was found, and a change is caught."""

from pathlib import Path

import pytest
import yaml

from atoll.benchmarks.suites.bounds import breaches
from atoll.benchmarks.suites.outcome import Outcome
from atoll.benchmarks.suites.record import SuiteFolder
from atoll.benchmarks.suites.recording import bounds_yaml
from atoll.benchmarks.suites.suite import read_suite
from atoll.errors import ConfigError


def finished(coins: Path, work: Path, shift: float = 0.0) -> SuiteFolder:
    suite = read_suite(str(coins))
    folder = SuiteFolder(work / suite.name, suite)
    for cell in suite.cells:
        folder.of(cell).mkdir(parents=True, exist_ok=True)
        folder.keep(cell, Outcome(metrics={"share": 0.5 + 0.001 * cell.seed + shift}), "cpu")
    return folder


def test_recorded_bounds_hold_for_what_was_found_and_not_for_a_change(coins: Path, tmp_path: Path) -> None:
    finished(coins, tmp_path / "work")
    text = bounds_yaml(str(coins), ["share"], tmp_path / "work")
    found = yaml.safe_load(text)
    assert set(found["bounds"]) == {"0.3", "0.6"}
    assert "recording" in found["bounds_origin"]
    coins.write_text(coins.read_text(encoding="utf-8") + text, encoding="utf-8")
    guarded = read_suite(str(coins))
    assert breaches(guarded, finished(coins, tmp_path / "work").done()) == []
    worse = breaches(guarded, finished(coins, tmp_path / "worse", shift=-0.05).done())
    assert len(worse) == 4
    assert "recorded bounds are" in str(worse[0])


def test_a_figure_that_is_gone_is_a_breach(coins: Path, tmp_path: Path) -> None:
    folder = finished(coins, tmp_path / "work")
    suite = read_suite(str(coins), ['bounds={"0.3": {honest: {speed: [0, 1]}}}'])
    (breach,) = breaches(suite, folder.done())
    assert "was not found" in str(breach)


def test_bounds_that_are_no_pair_are_refused(coins: Path, tmp_path: Path) -> None:
    folder = finished(coins, tmp_path / "work")
    suite = read_suite(str(coins), ['bounds={"0.3": {honest: {share: 1}}}'])
    with pytest.raises(ConfigError, match="smallest and the largest"):
        breaches(suite, folder.done())


def test_nothing_is_recorded_of_half_a_suite(coins: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not done"):
        bounds_yaml(str(coins), ["share"], tmp_path / "none")
