"""Results of an Avalanche run as the matrix that Atoll's own measures are computed from."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from atoll.continual import StreamMatrix
from atoll.errors import DataError

_PLACE = re.compile(r"/Exp(\d+)$")


def stream_matrix(
    evaluations: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    *,
    metric: str = "Top1_Acc_Exp",
    called: str = "accuracy",
    stream: str = "test_stream",
    higher_is_better: bool = True,
) -> StreamMatrix:
    """The matrix ``R[stage, context]`` of what ``strategy.eval(benchmark.test_stream)`` returned.

    Args:
        evaluations: One dictionary by stage: the first from before any training, then one after each experience; an
            empty one where nothing was measured.
        names: Of the experiences, in order of arrival.
        metric: Avalanche's name of it, such as ``Top1_Acc_Exp`` or ``Loss_Exp``.
        called: Its name in the matrix.
        stream: Name of the evaluated stream.
        higher_is_better: False for a loss.

    Raises:
        DataError: more or fewer evaluations than stages, or one in which the metric of an experience is missing.
    """
    if len(evaluations) != len(names) + 1:
        raise DataError(
            f"a stream of {len(names)} experiences has {len(names) + 1} evaluations, the first before any training; "
            f"here are {len(evaluations)}"
        )
    matrix = StreamMatrix.blank(called, [[name] for name in names], higher_is_better=higher_is_better)
    for stage, found in enumerate(evaluations):
        if found:
            matrix = matrix.measured(stage, _by_name(found, names, f"{metric}/eval_phase/{stream}/", stage))
    return matrix


def _by_name(found: Mapping[str, Any], names: Sequence[str], prefix: str, stage: int) -> dict[str, float]:
    """Avalanche keeps its last value of everything, so that names tell what belongs together and not dictionaries."""
    placed = {int(_PLACE.findall(key)[0]): float(value) for key, value in found.items() if _is(key, prefix)}
    missing = [name for place, name in enumerate(names) if math.isnan(placed.get(place, math.nan))]
    if missing:
        raise DataError(
            f"the evaluation after stage {stage} has no {prefix}… of experience '{missing[0]}': evaluate all of the "
            "stream, with the metric by experience"
        )
    return {name: placed[place] for place, name in enumerate(names)}


def _is(key: str, prefix: str) -> bool:
    return key.startswith(prefix) and _PLACE.search(key) is not None
