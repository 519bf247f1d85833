"""Arrays of numbers in JSON, in which NaN is null, read without guessing."""

import json
import math
from collections.abc import Set
from typing import Any, NoReturn, TypeVar

import numpy as np
from numpy.typing import NDArray

from atoll.errors import DataError

Kind = TypeVar("Kind")


def json_object(text: str, fields: Set[str], where: str) -> dict[str, Any]:
    """Read an object with exactly these fields, each once; NaN and Infinity are no JSON.

    Raises:
        DataError: it is something else.
    """
    try:
        found = json.loads(text, object_pairs_hook=_once, parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} is no JSON: {str(error)[:120]}") from error
    if not isinstance(found, dict):
        raise DataError(f"{where} is no JSON object")
    if odd := sorted(found.keys() ^ fields):
        state = "is missing" if odd[0] in fields else "is unknown"
        raise DataError(f"{where}: field {odd[0]!r} {state}; there are {', '.join(sorted(fields))}")
    return found


def taken(found: dict[str, Any], field: str, kind: type[Kind], where: str) -> Kind:
    """A field's value, if it is of this type.

    Raises:
        DataError: it is not.
    """
    value = found[field]
    if not isinstance(value, kind):
        raise DataError(f"{where}: {field} is a {type(value).__name__}, not a {kind.__name__}")
    return value


def numbers(value: object, dimensions: int, where: str) -> NDArray[np.float64]:
    """Nested lists of numbers and nulls as an array; null becomes NaN.

    Raises:
        DataError: anything else, or rows of unequal length.
    """
    try:
        return np.array(_numbers(value, dimensions, where), dtype=np.float64)
    except (ValueError, OverflowError) as error:
        raise DataError(f"{where}: rows of unequal length, or a number beyond float64") from error


def nulls(array: NDArray[np.float64]) -> Any:
    """Nested lists, with None for NaN."""
    if array.ndim == 0:
        return None if math.isnan(array) else float(array)
    return [nulls(part) for part in array]


def _numbers(value: object, dimensions: int, where: str) -> Any:
    if dimensions:
        if not isinstance(value, list):
            raise DataError(f"{where}: expected a list, not a {type(value).__name__}")
        return [_numbers(part, dimensions - 1, where) for part in value]
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DataError(f"{where}: expected a number or null, not a {type(value).__name__}")
    return float(value)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice")
    return found


def _refused(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON; what was not measured is null")
