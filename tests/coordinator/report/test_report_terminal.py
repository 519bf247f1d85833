from dataclasses import replace

import pytest
from rich.console import Console
from rich.table import Table

from atoll.coordinator.report.terminal import left_table, results_table, withdrawal_table
from atoll.coordinator.results import RunResults


def lines(table: Table, width: int = 160) -> list[list[str]]:
    """The words of every printed line, without the table's rules."""
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(table)
    return [line.translate(dict.fromkeys(map(ord, "│┃"), " ")).split() for line in capture.get().splitlines()]


def test_losses_and_means(results: RunResults) -> None:
    printed = lines(results_table(results))
    assert ["silo", "anchor", "own", "expert", "mixture", "soup", "ensemble", "gain", "kept"] in printed
    assert ["hospital", "4.100", "2.020", "2.060", "3.410", "3.020", "98.1", "%"] in printed
    assert ["mean", "3.680", "2.257", "2.290", "3.067", "2.840", "97.7", "%"] in printed


def test_any_baseline_gets_a_column_after_the_mixture(results: RunResults) -> None:
    losses = {silo: {"ensemble, posterior": 2.5} | found for silo, found in results.losses.items()}
    printed = lines(results_table(replace(results, losses=losses)))
    assert ["library", "3.950", "2.710", "2.750", "2.500", "3.300", "3.210", "96.8", "%"] in printed


def test_what_is_missing_is_a_dash(results: RunResults) -> None:
    losses = {silo: dict(found) for silo, found in results.losses.items() if silo != "library"}
    del losses["law-firm"]["soup"]
    printed = lines(results_table(replace(results, losses=losses)))
    assert ["library", "–", "–", "–", "–", "–", "–"] in printed
    assert ["law-firm", "3.620", "2.400", "2.430", "–", "2.800", "97.5", "%"] in printed
    mean = next(line for line in printed if line[:1] == ["mean"])
    assert mean[4] == "–"
    assert mean[5] == "2.717"


def test_nothing_measured(results: RunResults) -> None:
    printed = lines(results_table(replace(results, losses={})))
    assert ["hospital", "–"] in printed
    assert not [line for line in printed if line[:1] == ["mean"]]


def test_withdrawal(results: RunResults) -> None:
    assert withdrawal_table(replace(results, withdrawal=None)) is None
    table = withdrawal_table(results)
    assert table is not None
    printed = lines(table)
    assert ["loss", "on", "library,", "before", "2.7500"] in printed
    assert ["loss", "on", "library,", "after", "3.9300"] in printed
    assert ["largest", "change", "on", "another", "silo", "0.0100"] in printed
    assert ["answer", "after", "And", "it", "came", "to", "pass", "the", "software"] in printed


def test_bytes_that_left(results: RunResults) -> None:
    printed = lines(left_table(results))
    assert ["law-firm", "3.8", "MiB", "1,000", "B", "3.8", "MiB"] in printed
    assert ["all", "silos", "15.3", "MiB", "3.9", "KiB", "15.3", "MiB"] in printed
    assert ["library", "0", "B"] in lines(left_table(replace(results, transfers=[])))


@pytest.mark.parametrize("name", ["[red]bold[/red]", "[/]", "[link=x]y"])
def test_names_are_no_markup(results: RunResults, name: str) -> None:
    assert results.withdrawal is not None
    losses = {name: {**results.losses["hospital"], name: 1.0}}
    odd = replace(
        results,
        silos=[replace(results.silos[0], name=name)],
        losses=losses,
        transfers=[replace(transfer, silo=name, what=name) for transfer in results.transfers],
        withdrawal=replace(results.withdrawal, owner=name, prompt=name),
    )
    withdrawn = withdrawal_table(odd)
    assert withdrawn is not None
    for table in (results_table(odd), left_table(odd), withdrawn):
        assert sum(word.count(name) for line in lines(table) for word in line) >= 2
