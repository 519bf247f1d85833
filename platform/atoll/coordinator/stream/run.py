"""A whole stream on this machine: engine, stages, baselines, results, tracking, report."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from atoll.continual import over_stages
from atoll.coordinator.config import RunConfig
from atoll.coordinator.erasure.inventory import TRACKED, record_copy
from atoll.coordinator.memory import MemoryWatch
from atoll.coordinator.run import OnProgress, opened, prepared, register, track, versions
from atoll.coordinator.stream.baselines import BaselineResults, run_baselines
from atoll.coordinator.stream.collect import collect
from atoll.coordinator.stream.course import Course, StreamCoordinator
from atoll.coordinator.stream.page import draw, write_stream_report
from atoll.coordinator.stream.results import StageResult, StreamResults
from atoll.coordinator.stream.world import world_of
from atoll.coordinator.tracking import Tracker
from atoll.coordinator.traffic import TrafficLog
from atoll.experts.stop_config import ROUTER_STOPPED
from atoll.federation.embedded import SiloProcess
from atoll.ledger import Ledger
from atoll.releases.folder import release_folder
from atoll.workloads.workload import workload_class


@dataclass(frozen=True, slots=True)
class StreamOutcome:
    """What a stream leaves.

    Attributes:
        results: What it found.
        folder: The run folder.
        report: The report, one HTML page.
        release: Folder of the last release.
    """

    results: StreamResults
    folder: Path
    report: Path
    release: Path


def execute_stream(
    config: RunConfig, *, command: str, on_progress: OnProgress | None = None, retrain: Collection[str] = ()
) -> StreamOutcome:
    """Run to the end, or go on at the stage where an earlier run in the same folder was cut short.

    Args:
        config: The run, with a stream.
        command: What the user typed, for the report.
        on_progress: Listener for the silos' work and the baselines'.
        retrain: Owners whose experts are trained anew, for what they rest on has changed.

    Raises:
        ConfigError: the folder's run rests on something else.
        LedgerError: another process works in the folder.
        AtollError: the stream cannot be made; what had arrived is kept.
    """
    with prepared(config, retrain) as (folder, silos):
        return _execute_stream(config, folder, silos, command, on_progress)


def _execute_stream(
    config: RunConfig, folder: Path, silos: Sequence[SiloProcess], command: str, on_progress: OnProgress | None
) -> StreamOutcome:
    traffic = TrafficLog(folder / "traffic.jsonl")
    with MemoryWatch() as memory:
        with opened(config, silos, traffic, on_progress) as grid:
            names = {node: grid.name_of(node) for node in grid.get_node_ids()}
            coordinator = StreamCoordinator(grid, folder, names)
            course = coordinator.run()
        baselines = _baselines(config, folder, on_progress)
    shared = [coordinator.studio.shared(stage.release) for stage in course.stages]
    last = course.after or course.stages[-1]
    release = release_folder(folder / "releases", last.release.number)
    results = collect(
        config,
        command,
        course,
        baselines,
        shared,
        traffic.read(),
        {owner: said.audit for owner, said in last.evaluated.items() if said.audit},
        memory.peak_bytes,
        versions(),
    )
    results.save(folder / "results.json")
    report = write_stream_report(results, draw(results, folder / "figures"), folder)
    _track(config, results, course, folder)
    return StreamOutcome(results, folder, report, release)


def _baselines(config: RunConfig, folder: Path, on_progress: OnProgress | None) -> dict[str, BaselineResults]:
    """Run where all data is at hand: on one machine, which is what makes them baselines."""
    stream = config.stream
    if not stream.baselines:
        return {}
    tell = on_progress or (lambda silo, done, total, note: None)
    return run_baselines(
        stream.baselines,
        world_of(config, folder),
        folder / "baselines",
        metric=stream.metric,
        higher_is_better=workload_class(config.silos[0].data.workload).higher_is_better(stream.metric),
        split=config.evaluation.split,
        windows=config.evaluation.windows,
        batch=config.evaluation.batch,
        on_progress=lambda name, done, total: tell("baselines", done, total, name),
    )


def _track(config: RunConfig, results: StreamResults, course: Course, folder: Path) -> None:
    """Everything into the run folder's tracking store: the matrix at the step of its stage, figures, artifacts."""
    made = [*course.stages, *([course.after] if course.after else [])]

    def write(tracker: Tracker) -> None:
        for method in results.methods:
            for figure, matrix in method.scores.items():
                for stage, row in enumerate(matrix.values):
                    cells = zip(matrix.silos, row.tolist(), strict=True)
                    found = {f"{method.name}/R/{figure}/{silo}": value for silo, value in cells if value == value}
                    tracker.log_metrics(found, step=stage)
                for stage, summary in enumerate(over_stages(matrix), 1):
                    tracker.log_metrics(_named(method.name, summary.named()), step=stage)
        for number, stage_found in enumerate(results.stages, 1):
            tracker.log_metrics(stops_of(stage_found), step=number)
        for owner, figures in results.audits.items():
            tracker.log_metrics(_named(f"audit/{owner}", figures), step=len(course.stages))
        if course.unlearning:
            tracker.log_metrics(_named("withdrawal", course.unlearning), step=len(course.stages))
        register(tracker, config, folder, [each.release for each in made])

    track(config, folder, write)
    experts = [member.digest for each in made for member in each.release.members]
    with Ledger.open(folder / "ledger.db") as ledger:
        record_copy(ledger, what=TRACKED, where=folder, experts=experts)


def stops_of(stage: StageResult) -> dict[str, float]:
    """When the router's updates were stopped at a stage, by what is tracked; nothing where they were not."""
    found = {f"{ROUTER_STOPPED}/{owner}": float(steps) for owner, steps in stage.stopped.items()}
    return found | ({f"{ROUTER_STOPPED}/fitting": float(stage.fitting_stopped)} if stage.fitting_stopped else {})


def _named(method: str, figures: Mapping[str, float]) -> dict[str, float]:
    return {f"{method}/{name}": value for name, value in figures.items()}
