"""Reports and tracking say when a router was stopped, and nothing where none was."""

from dataclasses import replace

from tests.coordinator.stream.stream_results import stage, stream_results

from atoll.coordinator.stream.results import StageResult, StreamResults
from atoll.coordinator.stream.run import stops_of
from atoll.coordinator.stream.tables import stops_cells

PLAIN = stage("clinic")
STOPPED = replace(PLAIN, arrived=["court"], stopped={"court": 40}, fitting_stopped=20)


def results(*stages: StageResult) -> StreamResults:
    return stream_results("loss", stages)


def test_the_table_has_a_cell_a_stage() -> None:
    assert stops_cells(results(PLAIN, STOPPED)) == ["–", "court 40, fitting 20"]
    assert stops_cells(results(PLAIN, PLAIN)) == []


def test_tracked_figures_name_whose_training_it_was() -> None:
    assert stops_of(STOPPED) == {"router_stopped/court": 40.0, "router_stopped/fitting": 20.0}
    assert stops_of(PLAIN) == {}
