"""Read plain JSON values into dataclasses, by the types of their fields; strict, and nothing in a text is
interpreted.

Numbers are finite and within limits, texts, lists and mappings of limited length: whoever reads a decoded value need
not ask again.
"""

import dataclasses
import json
import math
import types
import typing
from dataclasses import dataclass
from typing import Any, NoReturn

from atoll.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a decoded value may hold; the defaults fit what this program wrote itself.

    Attributes:
        least: The least whole number.
        most: The largest whole number.
        magnitude: The largest number that is not whole, in either direction.
        characters: Of a text.
        entries: Of a list or a mapping.
        depth: Of lists and mappings within each other, where a field takes any value.
        infinite: Whether a field that takes any value may hold an infinity.
        clamp: Whether numbers beyond ``magnitude`` are read as the nearest within it, and not refused.
    """

    least: int = -(2**63)
    most: int = 2**63 - 1
    magnitude: float = 1e300
    characters: int = 1 << 26
    entries: int = 1_000_000
    depth: int = 32
    infinite: bool = False
    clamp: bool = False


OWN = Limits()
FOREIGN = Limits(least=0, most=2**53, magnitude=1e15, characters=1 << 24, entries=10_000, depth=8)
"""For what others send: whole numbers count or name something, and are exact in every reader of JSON."""


def decode_json(text: str, hint: Any, path: str, limits: Limits = OWN) -> Any:
    """A JSON text as the type that it should have; see :func:`decode`.

    Raises:
        DataError: not JSON, another type, an unknown or a missing field, a value beyond the limits.
    """
    try:
        constant = None if limits.clamp or limits.infinite else _refuse_constant
        return decode(json.loads(text, parse_constant=constant), hint, path, limits)
    except (ValueError, OverflowError, RecursionError) as error:
        raise DataError(str(error)[:500]) from error


def encode_json(value: Any, **form: Any) -> str:
    """A plain value as JSON text, which has no NaN and no infinity.

    Args:
        value: Of dicts, lists and scalars.
        form: As for ``json.dumps``.

    Raises:
        DataError: a number is not finite.
    """
    try:
        return json.dumps(value, allow_nan=False, **form)
    except ValueError as error:
        raise DataError(f"cannot be written as JSON: {error}") from error


def decode(value: Any, hint: Any, path: str, limits: Limits = OWN) -> Any:
    """A JSON value as the type that it should have.

    Args:
        value: What ``json.loads`` gave.
        hint: A dataclass, ``list[…]``, ``dict[str, …]``, ``float``, ``int``, ``bool``, ``str``, ``Any``, or one
            of these ``| None``.
        path: What messages call it.
        limits: Of every value in it.

    Raises:
        DataError: another type, an unknown or a missing field, a value beyond the limits.
    """
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        return None if value is None else decode(value, inner[0], path, limits)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type) and isinstance(value, dict):
        return _fields(value, hint, path, limits)
    if origin is list and isinstance(value, list):
        _count(value, path, limits)
        return [decode(item, inner[0], f"{path}[{place}]", limits) for place, item in enumerate(value)]
    if origin is dict and isinstance(value, dict):
        _count(value, path, limits)
        return {
            _text(key, path, limits): decode(item, inner[1], f"{path}.{key}", limits) for key, item in value.items()
        }
    if hint is Any:
        return _anything(value, path, limits, limits.depth)
    if hint is float and type(value) in (int, float):
        return _number(value, path, limits)
    if hint is int and type(value) is int:
        return _whole(value, path, limits)
    if hint is str and isinstance(value, str):
        return _text(value, path, limits)
    if hint is bool and type(value) is bool:
        return value
    raise DataError(f"'{path}' is {str(value)[:80]!r}, which is no {getattr(hint, '__name__', hint)}")


def _number(value: float, path: str, limits: Limits) -> float:
    found = float(value)
    if math.isfinite(found) and abs(found) <= limits.magnitude:
        return found
    if not limits.clamp:
        raise DataError(f"'{path}' is {found}; it must be finite and at most {limits.magnitude:g} in size")
    return -limits.magnitude if found < 0 else limits.magnitude


def _whole(value: int, path: str, limits: Limits) -> int:
    if not limits.least <= value <= limits.most:
        raise DataError(f"'{path}' is {str(value)[:40]}; it must be from {limits.least} to {limits.most}")
    return value


def _text(value: str, path: str, limits: Limits) -> str:
    if len(value) > limits.characters:
        raise DataError(f"'{path[:200]}' has {len(value)} characters; the most is {limits.characters}")
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise DataError(f"'{path[:200]}' holds half a character, which cannot be written down")
    return value


def _count(value: list[Any] | dict[str, Any], path: str, limits: Limits) -> None:
    if len(value) > limits.entries:
        raise DataError(f"'{path[:200]}' has {len(value)} entries; the most is {limits.entries}")


def _anything(value: Any, path: str, limits: Limits, depth: int) -> Any:
    """The value itself, once everything in it is within the limits; an option may be negative."""
    if isinstance(value, list | dict):
        _count(value, path, limits)
        if not depth:
            raise DataError(
                f"'{path[:200]}' goes too deep: at most {limits.depth} lists and mappings within each other"
            )
        if isinstance(value, dict):
            return {_text(key, path, limits): _anything(item, path, limits, depth - 1) for key, item in value.items()}
        return [_anything(item, path, limits, depth - 1) for item in value]
    if isinstance(value, str):
        return _text(value, path, limits)
    if type(value) is float:
        return value if limits.infinite and math.isinf(value) else _number(value, path, limits)
    if type(value) is int and abs(value) > limits.most:
        raise DataError(f"'{path}' holds {str(value)[:40]}; a whole number is at most {limits.most} in size")
    return value


def _fields(value: dict[str, Any], kind: type, path: str, limits: Limits) -> Any:
    hints = typing.get_type_hints(kind)
    unknown = [name for name in value if name not in hints]
    if unknown:
        raise DataError(f"'{path}' has an unknown field {unknown[0]!r}: it has {', '.join(hints)}")
    try:
        return kind(**{name: decode(item, hints[name], f"{path}.{name}", limits) for name, item in value.items()})
    except TypeError as error:
        raise DataError(f"'{path}': {error}") from error


def _refuse_constant(name: str) -> NoReturn:
    raise DataError(f"holds {name}, which is no number in JSON")
