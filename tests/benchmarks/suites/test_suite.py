"""Reading suites: what is run, under which name, and what is refused."""

from pathlib import Path

import pytest

from atoll.benchmarks.suites.suite import library, read_suite
from atoll.errors import ConfigError


def test_cells_are_cases_times_methods_times_seeds(coins: Path) -> None:
    suite = read_suite(str(coins))
    assert len(suite.cells) == 2 * 2 * 3
    assert [cell.title for cell in suite.cells[:4]] == ["0.3", "0.3", "0.6", "0.6"]
    assert len({suite.folder(cell) for cell in suite.cells}) == len(suite.cells)


def test_a_cells_folder_depends_on_what_decides_its_outcome_and_on_nothing_else(coins: Path) -> None:
    def first(*overrides: str) -> str:
        suite = read_suite(str(coins), overrides)
        return suite.key(suite.cells[0])

    assert first() == first("title=Other words", "seeds=[0, 9]", "metric=seconds")
    for change in ("settings.tosses=300", "vary={chance: [0.4]}", "seeds=[7]"):
        assert first() != first(change), change


def test_the_quick_form_lies_over_the_settings_and_has_a_folder_of_its_own(coins: Path) -> None:
    suite = read_suite(str(coins), quick=True)
    assert suite.name == "coins-quick"
    assert suite.config.settings == {"tosses": 10}
    assert [cell.seed for cell in suite.cells] == [5, 5]


def test_claims_about_methods_that_were_left_out_are_left_out(coins: Path) -> None:
    assert read_suite(str(coins), ["methods=[honest]"]).config.claims == []


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("methods=[honset]", "did you mean 'honest'"),
        ("methods=[]", "must be lists of some"),
        ("settings.toses=3", "no option 'toses'"),
        ("vary={chance: 0.5}", "must be lists of some"),
        ("methods=[honest, honest]", "two methods are called 'honest'"),
        ("methods=[{name: honest, lable: x}]", "unknown field 'lable'"),
        ("settings.tosses=many", "'many'"),
    ],
)
def test_what_cannot_be_run_is_said_before_anything_runs(coins: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_suite(str(coins), [override])


def test_a_claim_about_nobody_is_a_slip(coins: Path) -> None:
    coins.write_text(coins.read_text(encoding="utf-8").replace("than: honest", "than: honset"), encoding="utf-8")
    with pytest.raises(ConfigError, match="did you mean 'honest'"):
        read_suite(str(coins))


def test_an_unknown_suite_is_told_from_a_known_one() -> None:
    with pytest.raises(ConfigError, match="did you mean 'mobility-stream'"):
        read_suite("mobility-streem")


@pytest.mark.parametrize("name", library())
def test_every_suite_of_the_library_can_be_read_and_says_what_it_is_about(name: str) -> None:
    suite = read_suite(name)
    assert suite.config.about
    assert suite.cells
    if suite.config.quick:
        assert len(read_suite(name, quick=True).cells) <= len(suite.cells)
