"""JSON objects from strangers."""

import json
from typing import Any

from atoll.errors import PackageError


def json_object(raw: bytes) -> dict[str, Any]:
    """Read a JSON object in UTF-8, in which no name is twice.

    Raises:
        PackageError: it is something else.
    """
    try:
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise PackageError(f"is not JSON ({str(error)[:120]})") from error
    if not isinstance(value, dict):
        raise PackageError("is not a JSON object")
    return value


def shown(value: object) -> str:
    """A value for a message, short whatever it is."""
    if value is None or isinstance(value, str | int | float):
        return repr(value)[:80]
    return f"a {type(value).__name__}"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice")
    return found
