"""Figures over seeds: means, spreads and differences, with Student's interval."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from atoll.continual.student import quantile, within
from atoll.continual.summary import Summary
from atoll.errors import DataError

FEWEST = 3
"""Seeds for an interval: from two, Student's spans 12.7 standard errors; a bootstrap of so few is too narrow."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A figure over seeds, or of a difference over seeds.

    Attributes:
        mean: Over the seeds.
        deviation: Standard deviation of a sample (divisor n - 1); None for one seed.
        low: Lower end of Student's t interval of the mean; None for fewer than three seeds.
        high: Upper end of it.
        confidence: Of the interval.
        seeds: Over how many.
    """

    mean: float
    deviation: float | None
    low: float | None
    high: float | None
    confidence: float
    seeds: int


def spread(runs: Mapping[int, Summary], confidence: float = 0.95) -> dict[str, Spread | None]:
    """Mean and spread of every figure; None for one that is undefined under any seed.

    The interval is Student's, which holds for a mean of normal figures: seeds differ, silos and stages do not.

    Args:
        runs: The same method and stream, by seed.
        confidence: Of the interval.

    Raises:
        DataError: no run, runs of different metrics or streams, or a confidence outside (0, 1).
    """
    _check(runs, confidence)
    names = next(iter(runs.values())).figures()
    return {name: spread_of([run.figures()[name] for run in runs.values()], confidence) for name in names}


def paired_difference(
    first: Mapping[int, Summary], second: Mapping[int, Summary], confidence: float = 0.95
) -> dict[str, Spread | None]:
    """``first - second`` over the same seeds, with Student's interval of the mean difference (the paired t-test's).

    Methods that share a seed share data and initial weights, so that what the seed does to both cancels.

    Args:
        first: One method, by seed.
        second: The other one, on the same stream.
        confidence: Of the interval.

    Raises:
        DataError: no run, different seeds, metrics or streams, or a confidence outside (0, 1).
    """
    if odd := sorted(first.keys() ^ second.keys()):
        raise DataError(f"methods are compared over the same seeds; only one of them has seed {odd[0]}")
    _check(first, confidence)
    _check(second, confidence)
    one, other = next(iter(first.values())), next(iter(second.values()))
    if _stream(one) != _stream(other):
        raise DataError(f"methods are compared on the same stream, not {_stream(one)} with {_stream(other)}")
    return {
        name: spread_of([_difference(first[seed], second[seed], name) for seed in first], confidence)
        for name in one.figures()
    }


def spread_of(found: Sequence[float | None], confidence: float = 0.95) -> Spread | None:
    """Mean, deviation and Student's interval of one figure over seeds; None where it is undefined under any of them.

    Raises:
        DataError: no figure, or a confidence outside (0, 1).
    """
    if not found or not 0 < confidence < 1:
        raise DataError(f"a spread of {len(found)} figures with confidence {confidence}: give one or more, and (0, 1)")
    known = np.array([value for value in found if value is not None], dtype=np.float64)
    count = len(known)
    if count < len(found):
        return None
    mean = float(known.mean())
    deviation = float(known.std(ddof=1)) if count > 1 else None
    half = None
    if deviation is not None and count >= FEWEST:
        half = quantile((1 + confidence) / 2, count - 1) * deviation / math.sqrt(count)
    return Spread(
        mean=mean,
        deviation=deviation,
        low=None if half is None else mean - half,
        high=None if half is None else mean + half,
        confidence=confidence,
        seeds=count,
    )


def paired_probability(differences: Sequence[float]) -> float | None:
    """Two-sided p-value of Student's paired t-test: how often a mean at least this far from zero comes by chance.

    None for fewer than three differences. Where all are equal it is 0, or 1 if they are zero.
    """
    if len(differences) < FEWEST:
        return None
    values = np.array(differences, dtype=np.float64)
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    if error == 0:
        return 1.0 if values[0] == 0 else 0.0
    return 1 - within(abs(float(values.mean())) / error, len(values) - 1)


def _check(runs: Mapping[int, Summary], confidence: float) -> None:
    if not runs:
        raise DataError("a spread over seeds needs one run or more")
    if not 0 < confidence < 1:
        raise DataError(f"confidence {confidence} is not between 0 and 1")
    streams = {_stream(run) for run in runs.values()}
    if len(streams) > 1:
        raise DataError(f"seeds of one method share metric and stream; these do not: {sorted(streams)}")


def _stream(run: Summary) -> tuple[str, bool, int, int]:
    return run.metric, run.higher_is_better, run.stages, run.silos


def _difference(first: Summary, second: Summary, name: str) -> float | None:
    one, other = first.figures()[name], second.figures()[name]
    return None if one is None or other is None else one - other
