"""From what a stream found to what people read."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from atoll.continual import StreamMatrix
from atoll.coordinator.config import RunConfig
from atoll.coordinator.results import ANCHOR, MIXTURE, OWN
from atoll.coordinator.stream.baselines import BaselineResults
from atoll.coordinator.stream.course import Course, Stage
from atoll.coordinator.stream.results import ATOLL, Method, StageResult, StreamResults, Withdrawal
from atoll.coordinator.summary import WHAT
from atoll.federation.embedded import Traffic
from atoll.federation.units import EvaluateReply
from atoll.mixture.shared import Shared
from atoll.workloads.workload import Workload, workload_class

LOSS = "loss"


def stream_method(stages: Sequence[Stage], planned: Sequence[Sequence[str]], workload: type[Workload]) -> Method:
    """The stream itself as a method: what every silo measured after every stage, and its own expert on arrival.

    Args:
        stages: What was found.
        planned: Owners by stage; a silo that was left out has no figures.
        workload: Says which way its scores are better.
    """
    figures = {name for stage in stages for said in stage.evaluated.values() for name in figures_of(said, MIXTURE)}
    scores = {name: _matrix(name, stages, planned, workload.higher_is_better(name)) for name in sorted(figures)}
    seconds = tuple(stage.seconds["train"] + stage.seconds["integrate"] for stage in stages)
    return Method(name=ATOLL, sees="nothing", bound="", scores=scores, seconds=seconds)


def figures_of(said: EvaluateReply, variant: str) -> dict[str, float]:
    """Loss and scores of one variant; nothing where it was not measured."""
    return {LOSS: said.loss[variant], **said.scores.get(variant, {})} if variant in said.loss else {}


def with_references(method: Method, references: Mapping[str, BaselineResults]) -> Method:
    """The method's matrices beside joint training and local models, where those baselines were run."""
    scores = {}
    for name, matrix in method.scores.items():
        found = next((run.scores[name] for run in references.values() if name in run.scores), None)
        if found is not None:
            local = matrix.local if found.local is None else found.local
            matrix = replace(matrix, joint=found.joint, local=local)
        scores[name] = matrix
    return replace(method, scores=scores)


def baseline_method(found: BaselineResults) -> Method:
    """A baseline as a method."""
    return Method(name=found.name, sees=found.sees, bound=found.bound, scores=found.scores, seconds=found.seconds)


def with_metric(method: Method, metric: str, higher_is_better: bool) -> Method:
    """The method with a matrix of the metric, of gaps alone where no silo's data defines it."""
    if metric in method.scores or not method.scores:
        return method
    stages = next(iter(method.scores.values())).stages
    blank = StreamMatrix.blank(metric, stages, higher_is_better=higher_is_better)
    return replace(method, scores={**method.scores, metric: blank})


def collect(
    config: RunConfig,
    command: str,
    course: Course,
    baselines: Mapping[str, BaselineResults],
    shared: Sequence[Shared | None],
    traffic: Sequence[Traffic],
    audits: Mapping[str, Mapping[str, float]],
    peak_bytes: int,
    versions: Mapping[str, str],
) -> StreamResults:
    """Everything together.

    Args:
        config: The run.
        command: What the user typed.
        course: The coordinator's findings.
        baselines: By name.
        shared: The shared part of each stage's release.
        traffic: What crossed the engine.
        audits: What releases give away, by owner.
        peak_bytes: Of memory.
        versions: Of what the figures depend on.
    """
    workload = workload_class(config.silos[0].data.workload)
    stream = with_references(stream_method(course.stages, config.stream.stages, workload), baselines)
    moved: dict[str, dict[str, int]] = {}
    for item in traffic:
        if item.direction == "out":
            by = moved.setdefault(item.silo, {})
            what = WHAT.get((item.message_type, item.direction), item.message_type)
            by[what] = by.get(what, 0) + item.bytes
    return StreamResults(
        title=config.title,
        command=command,
        seed=config.seed,
        anchor=config.anchor,
        anchor_digest=course.stages[0].release.anchor,
        metric=config.stream.metric,
        domains={silo.name: silo.domain for silo in config.silos},
        failures=dict(course.failures),
        stages=[_stage(stage, fitted) for stage, fitted in zip(course.stages, shared, strict=True)],
        methods=[
            with_metric(each, config.stream.metric, workload.higher_is_better(config.stream.metric))
            for each in (stream, *map(baseline_method, baselines.values()))
        ],
        withdrawal=_withdrawal(config.withdraw, course, shared),
        bytes_out=moved,
        audits={owner: dict(found) for owner, found in audits.items()},
        peak_memory_bytes=peak_bytes,
        versions=dict(versions),
    )


def _matrix(name: str, stages: Sequence[Stage], planned: Sequence[Sequence[str]], higher: bool) -> StreamMatrix:
    matrix = StreamMatrix.blank(name, planned, higher_is_better=higher)
    local = np.full(len(matrix.silos), np.nan)
    for number, stage in enumerate(stages, 1):
        for owner, said in stage.evaluated.items():
            row = {0: figures_of(said, ANCHOR), number: figures_of(said, MIXTURE)}
            for place, found in row.items():
                if name in found:
                    matrix = matrix.measured(place, {owner: found[name]})
            if name in (own := figures_of(said, OWN)):
                local[matrix.silos.index(owner)] = own[name]
    return replace(matrix, local=local)


def _stage(stage: Stage, shared: Shared | None) -> StageResult:
    return StageResult(
        arrived=list(stage.arrived),
        release=stage.release.number,
        digest=stage.release.digest,
        members=list(stage.release.owners),
        guarantee=stage.release.guarantee,
        seconds=dict(stage.seconds),
        drawn=dict(shared.fits[-1].samples) if shared is not None else {},
        stopped=dict(stage.stopped),
        fitting_stopped=shared.fits[-1].stopped if shared is not None else 0,
    )


def _withdrawal(owner: str, course: Course, shared: Sequence[Shared | None]) -> Withdrawal | None:
    after = course.after
    if after is None:
        return None
    stages = list(zip(course.stages, shared, strict=True))
    rebuilt = course.rebuilt[-1].evaluated if course.rebuilt else {}
    return Withdrawal(
        owner=owner,
        release=after.release.number,
        digest=after.release.digest,
        held=[stage.release.number for stage, _ in stages if owner in stage.release.owners],
        fitted=[stage.release.number for stage, fitted in stages if fitted is not None and fitted.seen(owner)],
        beside=course.trained_beside(owner),
        before={name: figures_of(said, MIXTURE) for name, said in course.stages[-1].evaluated.items()},
        after={name: figures_of(said, MIXTURE) for name, said in after.evaluated.items()},
        rebuilt={name: figures_of(said, MIXTURE) for name, said in rebuilt.items()},
        unlearning=dict(course.unlearning),
    )
