"""What the arrays and names of a stream must be."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from atoll.errors import DataError


def check_stages(metric: object, stages: Any) -> tuple[tuple[str, ...], ...]:
    """The stages as tuples.

    Raises:
        DataError: the metric has no name, there is no stage, a stage of nobody, or a name that is empty or there twice.
    """
    if not isinstance(metric, str) or not metric:
        raise DataError(f"a stream needs the name of its metric, not {metric!r}")
    where = f"stream of {metric}"
    if not isinstance(stages, tuple | list) or not stages:
        raise DataError(f"{where}: needs one stage or more, each a tuple of names; got {stages!r}")
    for number, stage in enumerate(stages, 1):
        if not isinstance(stage, tuple | list) or not stage:
            raise DataError(f"{where}: stage {number} is {stage!r}; it must be a tuple of one name or more")
        if wrong := [name for name in stage if not isinstance(name, str) or not name]:
            raise DataError(f"{where}: stage {number} has {wrong[0]!r} for a name")
    names = [name for stage in stages for name in stage]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"{where}: {twice[0]!r} arrives twice; give what it brings later a name of its own")
    return tuple(map(tuple, stages))


def frozen(array: Any, shape: tuple[int, ...], where: str) -> NDArray[np.float64]:
    """A read-only float64 copy; NaN means that it was not measured.

    Raises:
        DataError: another shape, not numbers, or an infinite value.
    """
    try:
        made = np.array(array, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{where} are not an array of numbers of shape {shape} ({error})") from error
    if made.shape != shape:
        raise DataError(f"{where} have shape {made.shape}; the stages ask for {shape}")
    if np.isinf(made).any():
        place = tuple(int(index) for index in np.argwhere(np.isinf(made))[0])
        raise DataError(f"{where} at {place} are infinite; put NaN where nothing was measured")
    made.flags.writeable = False
    return made


def same(first: NDArray[np.float64] | None, second: NDArray[np.float64] | None) -> bool:
    """Whether two arrays, or their absence, are equal; NaN is equal to NaN."""
    if first is None or second is None:
        return first is second
    return np.array_equal(first, second, equal_nan=True)
