"""A stream's figures together, forgetting never without the average beside it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import final

from atoll.continual import measures
from atoll.continual.matrix import StreamMatrix


def _accumulated(matrix: StreamMatrix) -> float | None:
    return measures.accumulated_error(matrix)[-1].error if len(matrix.stages) > 1 else None


_MEASURES: Mapping[str, Callable[[StreamMatrix], float | None]] = {
    "average_final": measures.average_final,
    "average_incremental": measures.average_incremental,
    "forgetting_max": measures.forgetting_max,
    "forgetting_first": measures.forgetting_first,
    "backward_transfer": measures.backward_transfer,
    "forward_transfer": measures.forward_transfer,
    "intransigence": measures.intransigence,
    "knowledge_retention_time": measures.knowledge_retention_time,
    "knowledge_retention_silos": measures.knowledge_retention_silos,
    "accumulated_error_first": _accumulated,
    "share_of_joint": measures.share_of_joint,
}
_PAIRED = ("forgetting_max", "forgetting_first", "backward_transfer", "accumulated_error_first")
"""What is forgetting by any name, and never goes without the average."""
FIGURES = tuple(_MEASURES)
"""Names of a stream's figures."""
_LOST = ("forgetting_max", "forgetting_first", "intransigence", "accumulated_error_first")
_OWN = ("average_final", "average_incremental")


def higher_is_better(figure: str, metric: bool) -> bool:
    """Whether more of a stream's figure is better, where ``metric`` says it of what was measured.

    Averages are as the metric is; the others are turned so that they mean the same for all: what was lost is better
    when it is less, what was gained or kept when it is more.
    """
    return metric if figure in _OWN else figure not in _LOST


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The figures of one stream; :mod:`atoll.continual.measures` defines each under its name. None where undefined.

    Attributes:
        metric: Name of what was measured; its units are the figures'.
        higher_is_better: False for a loss.
        stages: How many there were.
        silos: How many came.
        average_final: Average accuracy after the last stage.
        average_incremental: Mean over stages of the average over the silos seen.
        forgetting_max: From the best earlier figure.
        forgetting_first: From the figure on arrival.
        backward_transfer: Minus ``forgetting_first``.
        forward_transfer: Before arrival, against the untrained model.
        intransigence: On arrival, against joint training.
        knowledge_retention_time: In the end over on arrival.
        knowledge_retention_silos: The integrated model over the silo's own.
        accumulated_error_first: What the silos of the first stage lost by the end.
        share_of_joint: The average over joint training's.
    """

    metric: str
    higher_is_better: bool
    stages: int
    silos: int
    average_final: float | None
    average_incremental: float | None
    forgetting_max: float | None
    forgetting_first: float | None
    backward_transfer: float | None
    forward_transfer: float | None
    intransigence: float | None
    knowledge_retention_time: float | None
    knowledge_retention_silos: float | None
    accumulated_error_first: float | None
    share_of_joint: float | None

    def figures(self) -> dict[str, float | None]:
        """The figures by name, the average first."""
        return {name: getattr(self, name) for name in _MEASURES}

    def named(self) -> dict[str, float]:
        """The figures that are defined, as ``<metric>/<figure>``: for a tracker."""
        return {f"{self.metric}/{name}": value for name, value in self.figures().items() if value is not None}


def summarize(matrix: StreamMatrix) -> Summary:
    """All figures of a stream.

    Forgetting without the average beside it says nothing: a model that never learned forgets nothing. So where the
    average after the last stage is undefined, so is everything of forgetting.
    """
    found = {name: measure(matrix) for name, measure in _MEASURES.items()}
    if found["average_final"] is None:
        found |= dict.fromkeys(_PAIRED)
    return Summary(
        metric=matrix.metric,
        higher_is_better=matrix.higher_is_better,
        stages=len(matrix.stages),
        silos=len(matrix.silos),
        **found,
    )


def over_stages(matrix: StreamMatrix) -> tuple[Summary, ...]:
    """The summary of the stream as it was after each stage."""
    return tuple(summarize(matrix.until(stage)) for stage in range(1, len(matrix.stages) + 1))
