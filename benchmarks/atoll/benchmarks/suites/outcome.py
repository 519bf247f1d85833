"""What one cell of a suite found: figures, matrices of streams, curves and costs, as one value that JSON holds."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from atoll.config.decode import decode_json
from atoll.continual import StreamMatrix, summarize
from atoll.errors import DataError
from atoll.experts.files import write_atomic

SECONDS, BYTES_MOVED, PEAK_MEMORY, PARAMETERS = COSTS = ("seconds", "bytes_moved", "peak_memory_bytes", "parameters")
"""Costs that every figure and table knows: of training and integration, wall time; what left the silos and what came
to them, in all; the largest resident set of the cell's process; trained parameters in all."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A figure along something, such as accuracy along a stream of samples.

    Attributes:
        along: What the horizontal axis is.
        x: Rising.
        y: As many.

    Raises:
        DataError: of different lengths, empty, or not finite.
    """

    along: str
    x: list[float]
    y: list[float]

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y) or not self.x:
            raise DataError(f"a curve along {self.along} has {len(self.x)} places and {len(self.y)} values")
        if not all(map(math.isfinite, [*self.x, *self.y])):
            raise DataError(f"a curve along {self.along} holds a value that is not finite")


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """What one method found with one seed in one case.

    Attributes:
        metrics: Figures by name.
        streams: ``R[stage, silo]`` by metric, where silos or tasks arrive one after the other.
        curves: By metric.
        costs: By one of :data:`COSTS`; only what was measured.

    Raises:
        DataError: a figure that is not finite, or a cost with another name.
    """

    metrics: Mapping[str, float] = field(default_factory=dict)
    streams: Mapping[str, StreamMatrix] = field(default_factory=dict)
    curves: Mapping[str, Curve] = field(default_factory=dict)
    costs: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in {**self.metrics, **self.costs}.items():
            if not math.isfinite(value):
                raise DataError(f"the figure '{name}' is {value}")
        if odd := sorted(set(self.costs) - set(COSTS)):
            raise DataError(f"a cost is called '{odd[0]}'; there are {', '.join(COSTS)}")

    def figures(self) -> dict[str, float]:
        """Everything that is one number: metrics, what every stream sums up to as ``METRIC/FIGURE``, and costs."""
        found = dict(self.metrics)
        for matrix in self.streams.values():
            found |= summarize(matrix).named()
        return found | dict(self.costs)

    def save(self, path: Path) -> None:
        """Write as JSON, whole or not at all."""
        made = {
            "metrics": dict(self.metrics),
            "streams": {name: json.loads(matrix.to_json()) for name, matrix in self.streams.items()},
            "curves": {name: vars(curve) for name, curve in self.curves.items()},
            "costs": dict(self.costs),
        }
        write_atomic(path, (json.dumps(made, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode())

    @classmethod
    def load(cls, path: Path) -> "Outcome":
        """Read what :meth:`save` wrote.

        Raises:
            DataError: something else.
        """
        try:
            found = decode_json(path.read_text("utf-8"), _Stored, str(path))
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror})") from error
        streams = {name: StreamMatrix.from_json(json.dumps(matrix)) for name, matrix in found.streams.items()}
        return cls(metrics=found.metrics, streams=streams, curves=found.curves, costs=found.costs)


@dataclass(frozen=True)
class _Stored:
    metrics: dict[str, float]
    streams: dict[str, Any]
    curves: dict[str, Curve]
    costs: dict[str, float]
