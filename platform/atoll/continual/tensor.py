"""What each silo measured on each task after every stage of a stream, as one value."""

import json
import math
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from atoll.continual.checks import check_stages, frozen, same
from atoll.continual.matrix import StreamMatrix
from atoll.continual.strict_json import json_object, nulls, numbers, taken
from atoll.errors import DataError

_FIELDS = frozenset({"metric", "higher_is_better", "stages", "owners", "values"})


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class StreamTensor:
    """The tensor ``R[silo, stage, task]``: one for the silos' own models and one for the integrated model say what time
    and what aggregation take (:mod:`atoll.continual.retention`).

    Where every silo has one task and only an owner measures its own, it is a :class:`StreamMatrix`.

    Attributes:
        metric: Name of what was measured.
        higher_is_better: False for a loss.
        stages: The tasks that arrive, stage by stage; several may arrive together. Each arrives once.
        owners: [tasks], the silo whose data each task is.
        values: Float64 [silos, stages + 1, tasks], of the model that the silo holds after the stage; row 0 is the
            initial model. Silos are in order of their first task; what was not measured is NaN.

    Raises:
        DataError: no stage, a stage of nothing, a name twice, an array of another shape, an infinite value.
    """

    metric: str
    higher_is_better: bool
    stages: tuple[tuple[str, ...], ...]
    owners: tuple[str, ...]
    values: NDArray[np.float64]

    def __post_init__(self) -> None:
        where = f"stream of {self.metric}"
        object.__setattr__(self, "stages", check_stages(self.metric, self.stages))
        object.__setattr__(self, "owners", tuple(self.owners))
        if len(self.owners) != len(self.tasks) or not all(isinstance(owner, str) and owner for owner in self.owners):
            raise DataError(f"{where}: owners are {self.owners!r}; every one of the {len(self.tasks)} tasks needs one")
        shape = (len(self.silos), len(self.stages) + 1, len(self.tasks))
        object.__setattr__(self, "values", frozen(self.values, shape, f"{where}: values"))

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks, in order of arrival."""
        return tuple(task for stage in self.stages for task in stage)

    @property
    def silos(self) -> tuple[str, ...]:
        """Names of the silos, in order of their first task."""
        return tuple(dict.fromkeys(self.owners))

    @property
    def arrivals(self) -> NDArray[np.int64]:
        """[tasks], the stage at which each arrives; 1 is the first."""
        return np.repeat(np.arange(1, len(self.stages) + 1), [len(stage) for stage in self.stages])

    @classmethod
    def of(cls, matrix: StreamMatrix) -> "StreamTensor":
        """Every silo's one task, which it alone measured."""
        count = len(matrix.silos)
        values = np.full((count, len(matrix.stages) + 1, count), math.nan)
        values[np.arange(count), :, np.arange(count)] = matrix.values.T
        return cls(
            metric=matrix.metric,
            higher_is_better=matrix.higher_is_better,
            stages=matrix.stages,
            owners=matrix.silos,
            values=values,
        )

    def by_owner(self) -> StreamMatrix:
        """What the owners measured on their own tasks; the columns are tasks."""
        owner = [self.silos.index(owner) for owner in self.owners]
        values = self.values[owner, :, np.arange(len(self.tasks))].T
        return StreamMatrix(
            metric=self.metric, higher_is_better=self.higher_is_better, stages=self.stages, values=values
        )

    def to_json(self) -> str:
        """One JSON object; what was not measured is null."""
        made: dict[str, Any] = {
            "metric": self.metric,
            "higher_is_better": self.higher_is_better,
            "stages": self.stages,
            "owners": self.owners,
            "values": nulls(self.values),
        }
        return json.dumps(made, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "StreamTensor":
        """Read :meth:`to_json`.

        Raises:
            DataError: not JSON, a field that is unknown or missing, of a wrong type, or impossible.
        """
        found = json_object(text, _FIELDS, "stream tensor")
        return cls(
            metric=taken(found, "metric", str, "stream tensor"),
            higher_is_better=taken(found, "higher_is_better", bool, "stream tensor"),
            stages=tuple(taken(found, "stages", list, "stream tensor")),
            owners=tuple(taken(found, "owners", list, "stream tensor")),
            values=numbers(found["values"], 3, "stream tensor: values"),
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, StreamTensor):
            return NotImplemented
        plain = (self.metric, self.higher_is_better, self.stages, self.owners)
        return plain == (other.metric, other.higher_is_better, other.stages, other.owners) and same(
            self.values, other.values
        )

    __hash__ = None  # type: ignore[assignment]
