"""What was measured on every silo after every stage of a stream, as one value."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from atoll.continual.checks import check_stages, frozen, same
from atoll.continual.strict_json import json_object, nulls, numbers, taken
from atoll.errors import DataError

_REFERENCES = ("local", "joint", "initial")
_FIELDS = frozenset({"metric", "higher_is_better", "stages", "values", *_REFERENCES})


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class StreamMatrix:
    """The matrix ``R[stage, silo]`` (Lopez-Paz & Ranzato 2017, arXiv 1706.08840, section 2), with silos for tasks.

    Every figure is of the silo's own test data and is measured by the silo itself; :class:`StreamTensor` holds the
    rest. Arrays are copied and read-only; what was not measured is NaN.

    Attributes:
        metric: Name of what was measured, such as ``accuracy@1``.
        higher_is_better: False for a loss.
        stages: The silos that arrive, stage by stage; several may arrive together. Each arrives once.
        values: Float64 [stages + 1, silos]. Row 0 is the initial model, before anybody arrived; row s is the model
            after stage s. Silos are in order of arrival.
        local: [silos], each silo's own model, trained on its data alone.
        joint: [silos], one model trained on the data of all silos at once.
        initial: [silos], an untrained model; forward transfer is measured against it, or against row 0 where it is
            not given.

    Raises:
        DataError: no stage, a stage of nobody, a name twice, an array of another shape, an infinite value.
    """

    metric: str
    higher_is_better: bool
    stages: tuple[tuple[str, ...], ...]
    values: NDArray[np.float64]
    local: NDArray[np.float64] | None = None
    joint: NDArray[np.float64] | None = None
    initial: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "stages", check_stages(self.metric, self.stages))
        shape = (len(self.stages) + 1, len(self.silos))
        object.__setattr__(self, "values", frozen(self.values, shape, f"stream of {self.metric}: values"))
        for name in _REFERENCES:
            if (held := getattr(self, name)) is not None:
                object.__setattr__(self, name, frozen(held, shape[1:], f"stream of {self.metric}: {name}"))

    @classmethod
    def blank(cls, metric: str, stages: Sequence[Sequence[str]], *, higher_is_better: bool) -> "StreamMatrix":
        """A stream of which nothing was measured yet.

        Raises:
            DataError: no stage, a stage of nobody, a name twice.
        """
        names = tuple(map(tuple, stages))
        values = np.full((len(names) + 1, sum(map(len, names))), math.nan)
        return cls(metric=metric, higher_is_better=higher_is_better, stages=names, values=values)

    @property
    def silos(self) -> tuple[str, ...]:
        """Names of the columns, in order of arrival."""
        return tuple(silo for stage in self.stages for silo in stage)

    @property
    def arrivals(self) -> NDArray[np.int64]:
        """[silos], the stage at which each arrives; 1 is the first."""
        return np.repeat(np.arange(1, len(self.stages) + 1), [len(stage) for stage in self.stages])

    def measured(self, stage: int, found: Mapping[str, float]) -> "StreamMatrix":
        """The stream with what was found after ``stage``, by silo; 0 is the initial model. Others stay as they are.

        Raises:
            DataError: no such stage or silo.
        """
        if not 0 <= stage <= len(self.stages):
            raise DataError(f"stream of {self.metric}: no stage {stage}; there are 0 (initial) to {len(self.stages)}")
        if unknown := sorted(found.keys() - set(self.silos)):
            raise DataError(f"stream of {self.metric}: no silo {unknown[0]!r}; there are {', '.join(self.silos)}")
        values = self.values.copy()
        for silo, value in found.items():
            values[stage, self.silos.index(silo)] = value
        return replace(self, values=values)

    def until(self, stage: int) -> "StreamMatrix":
        """The stream as it was after ``stage``, with the silos that had come by then.

        Raises:
            DataError: no such stage.
        """
        if not 1 <= stage <= len(self.stages):
            raise DataError(f"stream of {self.metric}: no stage {stage}; there are 1 to {len(self.stages)}")
        seen = self.arrivals <= stage
        held = {name: getattr(self, name) for name in _REFERENCES}
        references: dict[str, Any] = {name: None if array is None else array[seen] for name, array in held.items()}
        return replace(self, stages=self.stages[:stage], values=self.values[: stage + 1, seen], **references)

    def to_json(self) -> str:
        """One JSON object; what was not measured is null."""
        held = {name: getattr(self, name) for name in ("values", *_REFERENCES)}
        made: dict[str, Any] = {
            "metric": self.metric,
            "higher_is_better": self.higher_is_better,
            "stages": self.stages,
            **{name: None if array is None else nulls(array) for name, array in held.items()},
        }
        return json.dumps(made, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "StreamMatrix":
        """Read :meth:`to_json`.

        Raises:
            DataError: not JSON, a field that is unknown or missing, of a wrong type, or impossible.
        """
        found = json_object(text, _FIELDS, "stream matrix")
        references = {name: found[name] for name in _REFERENCES}
        return cls(
            metric=taken(found, "metric", str, "stream matrix"),
            higher_is_better=taken(found, "higher_is_better", bool, "stream matrix"),
            stages=tuple(taken(found, "stages", list, "stream matrix")),
            values=numbers(found["values"], 2, "stream matrix: values"),
            **{
                name: None if held is None else numbers(held, 1, f"stream matrix: {name}")
                for name, held in references.items()
            },
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, StreamMatrix):
            return NotImplemented
        plain = (self.metric, self.higher_is_better, self.stages)
        arrays = ((getattr(self, name), getattr(other, name)) for name in ("values", *_REFERENCES))
        return plain == (other.metric, other.higher_is_better, other.stages) and all(same(*pair) for pair in arrays)

    __hash__ = None  # type: ignore[assignment]
