"""Reports and tracking say when a router was stopped, and nothing where none was."""

from dataclasses import replace

from atoll.coordinator.stream.results import StageResult, StreamResults
from atoll.coordinator.stream.run import stops_of
from atoll.coordinator.stream.tables import stops_cells

PLAIN = StageResult(arrived=["clinic"], release=1, digest="", members=[], guarantee="", seconds={}, drawn={})
STOPPED = replace(PLAIN, arrived=["court"], stopped={"court": 40}, fitting_stopped=20)


def results(*stages: StageResult) -> StreamResults:
    return StreamResults(
        title="",
        command="",
        seed=0,
        anchor="",
        anchor_digest="",
        metric="loss",
        domains={},
        failures={},
        stages=list(stages),
        methods=[],
        withdrawal=None,
        bytes_out={},
        audits={},
        peak_memory_bytes=0,
        versions={},
    )


def test_the_table_has_a_cell_a_stage() -> None:
    assert stops_cells(results(PLAIN, STOPPED)) == ["–", "court 40, fitting 20"]
    assert stops_cells(results(PLAIN, PLAIN)) == []


def test_tracked_figures_name_whose_training_it_was() -> None:
    assert stops_of(STOPPED) == {"router_stopped/court": 40.0, "router_stopped/fitting": 20.0}
    assert stops_of(PLAIN) == {}
