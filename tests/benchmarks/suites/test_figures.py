"""What suites name as figures, their studies report, turned the same way."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from atoll.benchmarks.suites.figure import Figures, higher, lower, neither, workload_streams
from atoll.benchmarks.suites.outcome import Outcome
from atoll.benchmarks.suites.record import SuiteFolder
from atoll.benchmarks.suites.study import GROUP, Study
from atoll.benchmarks.suites.suite import library, read_suite
from atoll.benchmarks.suites.verdicts import check_reported
from atoll.continual import StreamMatrix, summarize
from atoll.continual.summary import FIGURES, higher_is_better
from atoll.errors import ConfigError, DataError, FederationError
from atoll.plugins import load, names

DECLARES = """
    def figures(self):
        from atoll.benchmarks.suites.figure import Figures, higher
        return Figures(metrics=higher("share"), streams=higher("heads"))
"""


@pytest.fixture
def declared(coins: Path) -> Iterator[Path]:
    """The coins' suite; their study says what it reports."""
    study = coins.parent / "site" / "coins_study.py"
    study.write_text(study.read_text().replace("    def run(self, work):", f"{DECLARES}\n    def run(self, work):"))
    before = sys.modules.pop("coins_study", None)  # the same module, of another folder, that does not say
    yield coins
    sys.modules.pop("coins_study", None)
    if before is not None:
        sys.modules["coins_study"] = before


@pytest.mark.parametrize("name", library())
@pytest.mark.parametrize("quick", [False, True], ids=["", "quick"])
def test_every_suites_figures_are_their_studies(name: str, quick: bool) -> None:
    suite = read_suite(name)
    suite = read_suite(name, quick=True) if quick and suite.config.quick else suite
    assert suite.figures is not None
    figure = suite.figures.find(suite.config.metric, "metric")
    assert figure.higher_is_better is suite.higher_is_better
    losses = ("loss", "error", "seconds", "bytes", "brier", "ece", "forgetting", "success", "leakage")
    for metric, more in [(suite.config.metric, suite.higher_is_better), *map(suite.claimed, suite.config.claims)]:
        measured, _, summary = metric.rpartition("/")
        assert more is not any(word in (summary if summary in FIGURES[2:] else measured or metric) for word in losses)


@pytest.mark.parametrize("name", names(GROUP))
def test_every_study_says_what_it_reports(name: str) -> None:
    study: type[Study] = load(GROUP, name)
    assert study.figures is not Study.figures


def test_every_make_target_that_runs_a_stream_is_listed() -> None:
    makefile = (Path(__file__).parents[3] / "Makefile").read_text()
    targets = [line.partition(":")[0] for line in makefile.splitlines() if line.partition(":")[0].endswith("-stream")]
    assert set(targets) <= set(library())
    assert len(targets) == 2


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("metric: heads/average_final", "metric: heads/average_finl", "did you mean 'heads/average_final'"),
        ("metric: heads/average_final", "metric: tails", "nobody reports a figure 'tails'"),
        ("metric: heads/average_final", "metric: seconds\nhigher_is_better: true", "better when it is lower"),
        ("metric: heads/average_final", "metric: heads/forgetting_max\nhigher_is_better: true", "is lower"),
        ("than: honest}", "than: honest, metric: shaer}", "did you mean 'share'"),
        ("than: honest}", "than: honest, metric: share, lower_is_better: true}", "better when it is higher"),
        ("seeds: [0, 1, 2]", "seeds: [0]\nbounds: {all: {honest: {shaer: [0, 1]}}}", "did you mean 'share'"),
    ],
)
def test_a_figure_that_nobody_reports_or_is_turned_round_is_refused_at_the_start(
    declared: Path, old: str, new: str, told: str
) -> None:
    read_suite(str(declared))
    declared.write_text(declared.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigError, match=told):
        read_suite(str(declared))


def test_the_direction_is_the_studys_where_the_suite_says_nothing(declared: Path) -> None:
    assert read_suite(str(declared), ["metric=seconds"]).higher_is_better is False
    assert read_suite(str(declared), ["metric=share"]).higher_is_better is True
    assert read_suite(str(declared), ["metric=heads/forgetting_max"]).higher_is_better is False


def test_an_outcome_holds_what_is_declared() -> None:
    declared = Figures(metrics=(*lower("error/*"), *neither("steps")), streams=lower("loss"))
    declared.check("any", Outcome(metrics={"error/one": 1.0, "steps": 3.0}))
    with pytest.raises(DataError, match="reports the figure 'acuracy'"):
        declared.check("any", Outcome(metrics={"acuracy": 1.0}))
    loss = StreamMatrix.blank("loss", [["one"]], higher_is_better=True)
    with pytest.raises(DataError, match="the other way round"):
        declared.check("any", Outcome(streams={"loss": loss}))
    with pytest.raises(ConfigError, match="neither more nor less"):
        declared.direction("steps", None, "metric")


def test_a_name_in_full_goes_before_one_that_the_data_decides() -> None:
    figures = Figures(metrics=(*higher("unknown/*"), *lower("unknown/loss")))
    assert figures.direction("unknown/loss", None, "") is False
    assert figures.direction("unknown/auroc", None, "") is True


def test_scores_of_workloads_are_turned_as_the_workloads_say() -> None:
    turned = {each.name: each.higher_is_better for each in workload_streams().streams}
    assert turned["loss"] is turned["brier"] is turned["ece"] is False
    assert turned["accuracy"] is turned["auroc"] is turned["accuracy@1"] is turned["tpr@*"] is True


@pytest.mark.parametrize("metric", [False, True], ids=["loss", "accuracy"])
def test_a_streams_figures_are_turned_as_their_definitions(metric: bool) -> None:
    """A stream that keeps everything, against one that loses the first silo: whichever is better says which way."""
    good, bad = (1.0, 0.0) if metric else (0.0, 1.0)

    def stream(first_in_the_end: float) -> dict[str, float | None]:
        matrix = StreamMatrix.blank("any", [["one"], ["two"]], higher_is_better=metric)
        rows = [{"one": 0.5, "two": 0.5}, {"one": good, "two": 0.5}, {"one": first_in_the_end, "two": good}]
        for number, row in enumerate(rows):
            matrix = matrix.measured(number, row)
        return summarize(matrix).figures()

    kept, lost = stream(0.9 * good + 0.1 * bad), stream(0.6 * good + 0.4 * bad)
    for name in FIGURES:
        one, other = kept[name], lost[name]
        if one is not None and other is not None and one != other:
            assert (one > other) is higher_is_better(name, metric), name


def test_a_metric_that_no_cell_reported_is_an_error_of_a_study_that_does_not_say(coins: Path, tmp_path: Path) -> None:
    found = {"share": 0.5}
    for metric, told in (("share", ""), ("tails", "no cell reported the metric 'tails'; there are share")):
        folder = SuiteFolder(tmp_path / "work", read_suite(str(coins), [f"metric={metric}", "claims=[]"]))
        folder.of(folder.suite.cells[0]).mkdir(parents=True, exist_ok=True)
        folder.keep(folder.suite.cells[0], Outcome(metrics=found), "cpu")
        if not told:
            check_reported(folder.suite, folder.done())
            continue
        with pytest.raises(FederationError, match=told):
            check_reported(folder.suite, folder.done())
