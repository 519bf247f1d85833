"""A regression guard: means over seeds that must stay within recorded bounds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from atoll.benchmarks.suites.record import Done
from atoll.benchmarks.suites.suite import Suite, case_title
from atoll.benchmarks.suites.verdicts import figures
from atoll.continual import spread_of
from atoll.errors import ConfigError

_DEVIATIONS = 1.0
"""How far from the recorded mean the bounds lie, in standard deviations over seeds. A guard runs the very seeds that
were recorded, so only another machine's rounding may move a figure, and where that changes a choice it is at most like
another seed."""
_LEAST = 0.03
"""And this share of the mean at least."""


@dataclass(frozen=True, kw_only=True)
class Breach:
    """A figure outside its bounds, or not there.

    Attributes:
        case: Title of the case.
        method: Label.
        figure: Its name.
        value: Mean over seeds; ``None`` where it was not found.
        low: The smallest that is right.
        high: The largest.
    """

    case: str
    method: str
    figure: str
    value: float | None
    low: float
    high: float

    def __str__(self) -> str:
        found = "was not found" if self.value is None else f"is {self.value:.6g}"
        where = " ".join(part for part in (self.case, self.method) if part)
        return f"{where}: {self.figure} {found}; recorded bounds are {self.low:.6g} to {self.high:.6g}"


def breaches(suite: Suite, done: Sequence[Done]) -> list[Breach]:
    """What is outside of the suite's bounds.

    Raises:
        ConfigError: bounds that are no pairs of numbers.
    """
    found = []
    for case, methods in suite.config.bounds.items():
        for method, bounds in methods.items():
            for figure, pair in bounds.items():
                low, high = _pair(pair, f"bounds.{case}.{method}.{figure}")
                value = _mean(done, "" if case == "all" else case, method, figure)
                if value is None or not low <= value <= high:
                    found.append(Breach(case=case, method=method, figure=figure, value=value, low=low, high=high))
    return found


def recorded(suite: Suite, done: Sequence[Done], names: Sequence[str]) -> dict[str, dict[str, dict[str, list[float]]]]:
    """Bounds around what was found, for a suite's file: by case (``all`` for the only one), method and figure.

    Args:
        suite: The suite, all of whose cells are done.
        done: Its cells.
        names: Figures that are guarded.
    """
    made: dict[str, dict[str, dict[str, list[float]]]] = {}
    for case in map(case_title, suite.cases):
        for name in names:
            for method, values in figures(done, case, name).items():
                spread = spread_of(list(values.values()))
                assert spread is not None
                far = max(_DEVIATIONS * (spread.deviation or 0.0), _LEAST * abs(spread.mean), 1e-6)
                pair = [round(spread.mean - far, 6), round(spread.mean + far, 6)]
                made.setdefault(case or "all", {}).setdefault(method, {})[name] = pair
    return made


def _mean(done: Sequence[Done], case: str, method: str, figure: str) -> float | None:
    values = figures(done, case, figure).get(method)
    return None if not values else sum(values.values()) / len(values)


def _pair(given: Any, where: str) -> tuple[float, float]:
    try:
        low, high = map(float, given)
    except (TypeError, ValueError):
        raise ConfigError(
            f"{where} is {given!r}; it must be the smallest and the largest value, as [0.9, 1.0]"
        ) from None
    return low, high
