"""The scorecard of an exit, as people see it; a dash where something was not measured."""

from dataclasses import replace
from pathlib import Path

from atoll.coordinator.report.page import write_report
from atoll.coordinator.report.terminal import unlearning_table
from atoll.coordinator.report.unlearning import asked_about, unlearning_grid
from atoll.coordinator.results import RunResults

from .test_report_terminal import lines

FIGURES = {
    "unlearning_forget": 64.0,
    "unlearning_holdout": 30.0,
    "unlearning_before_forget_loss": 2.5,
    "unlearning_before_auc_min_k": 0.75,
    "unlearning_before_privacy_leakage": -41.25,
    "unlearning_after_forget_loss": 3.5,
    "unlearning_after_auc_min_k": 0.5,
    "unlearning_after_privacy_leakage": -0.0,
    "unlearning_after_ks_p": 1.0,
    "unlearning_never_had_forget_loss": 3.5,
}


def test_figures_and_dashes() -> None:
    rows = {row[0]: row[1:] for row in unlearning_grid(FIGURES).rows}
    assert rows["loss on its training documents"] == ["2.5000", "3.5000", "3.5000"]
    assert rows["privacy leakage, %"] == ["-41.2", "0.0", "–"]
    assert rows["KS over losses by document, p"] == ["–", "1", "–"]
    assert rows["forget quality, p"] == ["–", "–", "–"]
    assert rows["membership by Min-K%, AUC"] == ["0.750", "0.500", "–"]
    assert "membership by zlib, AUC" not in rows


def test_an_owner_that_was_not_there_is_a_dash_and_no_number() -> None:
    assert {cell for row in unlearning_grid({}).rows for cell in row[1:]} == {"–"}
    assert "not measured" in asked_about({})


def test_page_and_terminal_have_it(results: RunResults, tmp_path: Path) -> None:
    assert results.withdrawal is not None
    measured = replace(results, withdrawal=replace(results.withdrawal, unlearning=FIGURES))
    page = write_report(measured, [], tmp_path).read_text()
    assert "Unlearning scorecard" in page
    assert "-41.2" in page
    printed = lines(unlearning_table(FIGURES, "library"))
    assert ["privacy", "leakage,", "%", "-41.2", "0.0", "–"] in printed


def test_results_keep_it_and_those_of_before_open_without(results: RunResults) -> None:
    assert results.withdrawal is not None
    measured = replace(results, withdrawal=replace(results.withdrawal, unlearning=FIGURES))
    assert RunResults.from_json(measured.to_json()) == measured
    old = results.to_json().replace(',\n    "unlearning": {}', "")
    assert '"unlearning"' not in old
    assert RunResults.from_json(old) == results
