"""What a stream's matrix says: how much was learned, kept and passed on.

``R[s, j]`` is the metric on silo j after stage s, ``a(j)`` the stage at which j arrives, T the last stage. The papers
have one task a stage, so ``a(j) = j``; where several arrive together, each silo counts once, and the papers' figures
come out when one does.

Differences are turned so that their meaning stays when lower is better, as for a loss: forgetting, intransigence and
accumulated error are positive where something was lost, transfer is positive where something was gained. Ratios are
turned likewise, so that 1 is all of it and below 1 something is missing: now / then for an accuracy, then / now for a
loss.

A figure is None, never 0, where it is not defined: a stream too short for it, no reference to measure against, or one
of its cells was not measured. A mean over the silos that happen to be there would not compare with another one.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atoll.continual.matrix import StreamMatrix

Floats = NDArray[np.float64]


def average_final(matrix: StreamMatrix) -> float | None:
    """Average accuracy ACC: mean over silos of ``R[T, j]`` (Lopez-Paz & Ranzato 2017, arXiv 1706.08840, equation 2)."""
    return _mean(matrix.values[-1])


def average_incremental(matrix: StreamMatrix) -> float | None:
    """Average incremental accuracy: mean over stages of the mean over the silos seen by then (Rebuffi et al. 2017,
    iCaRL, arXiv 1611.07725).
    """
    seen = [_mean(row[matrix.arrivals <= stage]) for stage, row in enumerate(matrix.values[1:], 1)]
    return _mean(np.array(seen, dtype=np.float64))


def forgetting_max(matrix: StreamMatrix) -> float | None:
    """Forgetting from the best: mean over the silos seen before the last stage of ``max_s R[s, j] - R[T, j]``, where s
    goes from a(j) to T - 1 (Chaudhry et al. 2018, arXiv 1801.10112, equation 3).
    """
    return _mean(_forgetting_max(matrix)[_before_last(matrix)])


def forgetting_first(matrix: StreamMatrix) -> float | None:
    """Forgetting from the start: mean over the silos seen before the last stage of ``R[a(j), j] - R[T, j]``.

    It is minus :func:`backward_transfer`, and what Avalanche's ``Forgetting`` computes; never more than
    :func:`forgetting_max`.
    """
    return _mean(_forgetting_first(matrix)[_before_last(matrix)])


def backward_transfer(matrix: StreamMatrix) -> float | None:
    """Backward transfer BWT: mean over the silos seen before the last stage of ``R[T, j] - R[a(j), j]`` (Lopez-Paz &
    Ranzato 2017, arXiv 1706.08840, equation 3).
    """
    return _mean(-_forgetting_first(matrix)[_before_last(matrix)])


def forward_transfer(matrix: StreamMatrix) -> float | None:
    """Forward transfer FWT: mean over the silos that come after the first stage of ``R[a(j) - 1, j] - b[j]``, with b
    the untrained model: ``initial``, or row 0 (Lopez-Paz & Ranzato 2017, arXiv 1706.08840, equation 4).
    """
    return _mean(_forward_transfer(matrix)[matrix.arrivals > 1])


def intransigence(matrix: StreamMatrix) -> float | None:
    """Intransigence: mean over silos of ``joint[j] - R[a(j), j]`` (Chaudhry et al. 2018, arXiv 1801.10112, equation 4).

    The paper trains its reference anew for every task, on all tasks until then; here it is the one model that was
    trained on all silos.
    """
    return _mean(_intransigence(matrix))


def knowledge_retention_time(matrix: StreamMatrix) -> float | None:
    """Temporal knowledge retention KR_t: mean over the silos seen before the last stage of ``R[T, j] / R[a(j), j]``
    (Yu et al. 2024, arXiv 2412.18355, equation 11, after Yang et al. 2023, arXiv 2312.16475).

    The papers follow each client's local model; this is the one integrated model.
    :func:`atoll.continual.retention.knowledge_retention_time` has the papers' form.
    """
    return _mean(_retention_time(matrix)[_before_last(matrix)])


def knowledge_retention_silos(matrix: StreamMatrix) -> float | None:
    """Spatial knowledge retention KR_s: mean over silos of ``R[T, j] / local[j]``, the integrated model against the
    silo's own (Yu et al. 2024, arXiv 2412.18355, equation 12, after Yang et al. 2023, arXiv 2312.16475).
    """
    return _mean(_retention_silos(matrix))


def share_of_joint(matrix: StreamMatrix) -> float | None:
    """Average accuracy over the average accuracy of joint training, which is the upper bound: a ratio of means, not a
    mean of ratios, in which a silo that is hard for everybody would weigh most.
    """
    if matrix.joint is None:
        return None
    now, then = matrix.values[-1].mean(keepdims=True), matrix.joint.mean(keepdims=True)
    return _mean(ratios(now, then, matrix.higher_is_better))


@dataclass(frozen=True, slots=True, kw_only=True)
class AccumulatedError:
    """What has become of the silos of the first stage.

    Attributes:
        later_arrivals: How many silos have come since.
        average: Mean of the metric over the first silos, in its own units.
        error: What was lost since they came: mean of ``R[1, j] - R[s, j]``.
    """

    later_arrivals: int
    average: float | None
    error: float | None


def accumulated_error(matrix: StreamMatrix) -> tuple[AccumulatedError, ...]:
    """Error of the first silo (or silos, where several came first) against the number of later arrivals, by stage.

    A silo's data is replayed anew with every arrival, by a model that learned it from replay: errors add up.
    """
    first = matrix.arrivals == 1
    start = matrix.values[1, first]
    found = []
    for stage, row in enumerate(matrix.values[1:], 1):
        later = int(np.sum((matrix.arrivals > 1) & (matrix.arrivals <= stage)))
        error = _mean(_sign(matrix) * (start - row[first]))
        found.append(AccumulatedError(later_arrivals=later, average=_mean(row[first]), error=error))
    return tuple(found)


def by_silo(matrix: StreamMatrix) -> dict[str, Floats]:
    """What the means are of: [silos] by measure, NaN where a silo has no such figure. ``final`` is ``R[T, j]``."""
    joint = np.full(len(matrix.silos), math.nan) if matrix.joint is None else matrix.joint
    return {
        "final": matrix.values[-1].copy(),
        "forgetting_max": _forgetting_max(matrix),
        "forgetting_first": _forgetting_first(matrix),
        "backward_transfer": -_forgetting_first(matrix),
        "forward_transfer": _forward_transfer(matrix),
        "intransigence": _intransigence(matrix),
        "knowledge_retention_time": _retention_time(matrix),
        "knowledge_retention_silos": _retention_silos(matrix),
        "share_of_joint": ratios(matrix.values[-1], joint, matrix.higher_is_better),
    }


def ratios(now: Floats, then: Floats, higher_is_better: bool) -> Floats:
    """``now / then``, or ``then / now`` where lower is better; NaN where that is not a share: the divisor is not
    positive, or the other is negative.
    """
    over, under = (now, then) if higher_is_better else (then, now)
    fine = (under > 0) & (over >= 0)
    shares: Floats = np.divide(over, under, out=np.full(over.shape, math.nan), where=fine)
    return shares


def _forgetting_max(matrix: StreamMatrix) -> Floats:
    better = _sign(matrix) * matrix.values
    found = np.full(len(matrix.silos), math.nan)
    for silo in np.flatnonzero(_before_last(matrix)):
        # Stages before a silo came are transfer, not learning; the paper's a_{l,j} begins at l = j.
        found[silo] = better[matrix.arrivals[silo] : -1, silo].max() - better[-1, silo]
    return found


def _forgetting_first(matrix: StreamMatrix) -> Floats:
    lost = _sign(matrix) * (_at_arrival(matrix) - matrix.values[-1])
    return np.where(_before_last(matrix), lost, math.nan)


def _forward_transfer(matrix: StreamMatrix) -> Floats:
    untrained = matrix.values[0] if matrix.initial is None else matrix.initial
    before = matrix.values[matrix.arrivals - 1, np.arange(len(matrix.silos))]
    return np.where(matrix.arrivals > 1, _sign(matrix) * (before - untrained), math.nan)


def _intransigence(matrix: StreamMatrix) -> Floats:
    if matrix.joint is None:
        return np.full(len(matrix.silos), math.nan)
    return _sign(matrix) * (matrix.joint - _at_arrival(matrix))


def _retention_time(matrix: StreamMatrix) -> Floats:
    kept = ratios(matrix.values[-1], _at_arrival(matrix), matrix.higher_is_better)
    return np.where(_before_last(matrix), kept, math.nan)


def _retention_silos(matrix: StreamMatrix) -> Floats:
    if matrix.local is None:
        return np.full(len(matrix.silos), math.nan)
    return ratios(matrix.values[-1], matrix.local, matrix.higher_is_better)


def _before_last(matrix: StreamMatrix) -> NDArray[np.bool_]:
    """Whom something could have happened to: a silo that has just come has forgotten nothing, and would flatter."""
    return matrix.arrivals < len(matrix.stages)


def _at_arrival(matrix: StreamMatrix) -> Floats:
    found: Floats = matrix.values[matrix.arrivals, np.arange(len(matrix.silos))]
    return found


def _sign(matrix: StreamMatrix) -> float:
    return 1.0 if matrix.higher_is_better else -1.0


def _mean(figures: Floats) -> float | None:
    """None where there is nothing to average, or something is missing."""
    return None if figures.size == 0 or np.isnan(figures).any() else float(figures.mean())
