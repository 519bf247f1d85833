"""Checks of single values in a card; each message names the key."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import date

from atoll.errors import PackageError

Scalar = str | int | float | bool

SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
MODULE_PATH = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./@-]{0,119}")
_ENTRIES = 10_000
_TEXT = 4_000
_INT = 2**63
MAGNITUDE = 1e15
# Characters that reorder or hide what a reader sees: an owner's words must be what they look like.
_DECEPTIVE = frozenset("\u061c\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff")


def text(key: str, value: object, *, empty: bool = False) -> str:
    """One line of plain text.

    Raises:
        PackageError: not text, empty, too long, several lines, or characters that cannot be seen.
    """
    if not isinstance(value, str):
        raise PackageError(f"'{key}' must be text, not {_kind(value)}")
    if not value.strip() and not empty:
        raise PackageError(f"'{key}' is empty; say what it is in a few words")
    if len(value) > _TEXT:
        raise PackageError(f"'{key}' has {len(value)} characters; the most is {_TEXT}")
    for character in value:
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in _DECEPTIVE:
            raise PackageError(f"'{key}' must be one line of plain text; U+{ord(character):04X} is not allowed in it")
    return value


def matching(key: str, value: object, pattern: re.Pattern[str], hint: str) -> str:
    """Text of a fixed form; ``hint`` says which."""
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise PackageError(f"'{key}' must be {hint}, not {_short(value)}")
    return value


def paths(key: str, value: object) -> tuple[str, ...]:
    """Module paths: at least one, none twice."""
    found = tuple(matching(key, item, MODULE_PATH, "a list of module paths") for item in _sequence(key, value))
    if not found:
        raise PackageError(f"'{key}' is empty; name at least one module")
    if len(set(found)) != len(found):
        twice = next(path for path in found if found.count(path) > 1)
        raise PackageError(f"'{key}' names '{twice}' twice")
    return found


def texts(key: str, value: object) -> tuple[str, ...]:
    """A list of lines of plain text."""
    return tuple(text(key, item) for item in _sequence(key, value))


def number(key: str, value: object) -> float:
    """A finite number of at most :data:`MAGNITUDE` in size, or a whole one of 64 bits."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PackageError(f"'{key}' must be a number, not {_kind(value)}")
    if isinstance(value, int) and abs(value) >= _INT:
        raise PackageError(f"'{key}' does not fit 64 bits")
    if isinstance(value, float) and not abs(value) <= MAGNITUDE:
        raise PackageError(f"'{key}' is {value}; it must be finite and at most {MAGNITUDE:g} in size")
    return float(value)


def count(key: str, value: object) -> int:
    """A whole number, zero or more."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _INT:
        raise PackageError(f"'{key}' must be a whole number, zero or more, not {_short(value)}")
    return value


def scalar(key: str, value: object) -> Scalar:
    """Text, a truth value or a finite number."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        number(key, value)
        return value
    return text(key, value, empty=True)


def mapping(key: str, value: object) -> dict[str, object]:
    """A mapping with plain keys, in their sorted order."""
    if not isinstance(value, Mapping):
        raise PackageError(f"'{key}' must be a mapping, not {_kind(value)}")
    if len(value) > _ENTRIES:
        raise PackageError(f"'{key}' has {len(value)} entries; the most is {_ENTRIES}")
    for name in value:
        matching(f"{key} key", name, _KEY, "a short name of letters, digits and _ . / @ -")
    return {name: value[name] for name in sorted(value)}


def iso_date(key: str, value: object) -> str | None:
    """A date as ``YYYY-MM-DD``, or nothing."""
    if value is None:
        return None
    try:
        if isinstance(value, str) and date.fromisoformat(value).isoformat() == value:
            return value
    except ValueError:
        pass
    raise PackageError(f"'{key}' must be null or a date as quoted text, like '2030-12-31', not {_short(value)}")


def _sequence(key: str, value: object) -> Sequence[object]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise PackageError(f"'{key}' must be a list, not {_kind(value)}")
    if len(value) > _ENTRIES:
        raise PackageError(f"'{key}' has {len(value)} entries; the most is {_ENTRIES}")
    return value


def _kind(value: object) -> str:
    return "nothing" if value is None else type(value).__name__


def _short(value: object) -> str:
    # Only of text: the repr of a huge int or a deep list is itself a way to be attacked.
    return repr(value[:80]) if isinstance(value, str) else _kind(value)
