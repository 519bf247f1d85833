"""What a stream found, with nothing in it but what a test is about."""

from collections.abc import Sequence

from atoll.coordinator.stream.results import Method, StageResult, StreamResults


def stage(*arrived: str) -> StageResult:
    """A stage at which these came."""
    return StageResult(arrived=list(arrived), release=1, digest="", members=[], guarantee="", seconds={}, drawn={})


def stream_results(metric: str, stages: Sequence[StageResult], methods: Sequence[Method] = ()) -> StreamResults:
    """Of these stages and methods."""
    return StreamResults(
        title="",
        command="",
        seed=0,
        anchor="",
        anchor_digest="",
        metric=metric,
        domains={},
        failures={},
        stages=list(stages),
        methods=list(methods),
        withdrawal=None,
        bytes_out={},
        audits={},
        peak_memory_bytes=0,
        versions={},
    )
