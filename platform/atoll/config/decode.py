"""Read plain JSON values into dataclasses, by the types of their fields; strict, and nothing in a text is
interpreted.
"""

import dataclasses
import json
import types
import typing
from typing import Any

from atoll.errors import DataError


def decode_json(text: str, hint: Any, path: str) -> Any:
    """A JSON text as the type that it should have; see :func:`decode`.

    Raises:
        DataError: not JSON, another type, an unknown or a missing field.
    """
    try:
        return decode(json.loads(text), hint, path)
    except (ValueError, OverflowError, RecursionError) as error:
        raise DataError(str(error)) from error


def decode(value: Any, hint: Any, path: str) -> Any:
    """A JSON value as the type that it should have.

    Args:
        value: What ``json.loads`` gave.
        hint: A dataclass, ``list[…]``, ``dict[str, …]``, ``float``, ``int``, ``bool``, ``str``, ``Any``, or one
            of these ``| None``.
        path: What messages call it.

    Raises:
        DataError: another type, an unknown or a missing field.
    """
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        return None if value is None else decode(value, inner[0], path)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type) and isinstance(value, dict):
        return _fields(value, hint, path)
    if origin is list and isinstance(value, list):
        return [decode(item, inner[0], f"{path}[{place}]") for place, item in enumerate(value)]
    if origin is dict and isinstance(value, dict):
        return {_text(key, path): decode(item, inner[1], f"{path}.{key}") for key, item in value.items()}
    if hint is float and type(value) in (int, float):
        return float(value)
    if hint is str and isinstance(value, str):
        return _text(value, path)
    if hint is Any or (hint in (bool, int) and type(value) is hint):
        return value
    raise DataError(f"'{path}' is {str(value)[:80]!r}, which is no {getattr(hint, '__name__', hint)}")


def _text(value: str, path: str) -> str:
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise DataError(f"'{path}' holds half a character, which cannot be written down")
    return value


def _fields(value: dict[str, Any], kind: type, path: str) -> Any:
    hints = typing.get_type_hints(kind)
    unknown = [name for name in value if name not in hints]
    if unknown:
        raise DataError(f"'{path}' has an unknown field {unknown[0]!r}: it has {', '.join(hints)}")
    try:
        return kind(**{name: decode(item, hints[name], f"{path}.{name}") for name, item in value.items()})
    except TypeError as error:
        raise DataError(f"'{path}': {error}") from error
