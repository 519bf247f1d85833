"""Names of columns and fields: each once, the one that is asked for there, and reached through nested ones by dots."""

import difflib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from atoll.errors import DataError


def require_unique(names: Iterable[str], where: str) -> None:
    """Check that no name stands twice; columns without a name cannot be asked for and do not count.

    Raises:
        DataError: the names that do, of a CSV header, a Parquet schema, a JSON object or an archive of arrays.
    """
    twice = [name for name, count in Counter(names).items() if name and count > 1]
    if twice:
        said = ", ".join(f"'{name}'" for name in twice[:5])
        raise DataError(
            f"{where}: the name {said} stands there more than once, so which one is meant is open; rename or remove one"
        )


def missing_name(what: str, name: str, there: Sequence[str], key: str = "") -> str:
    """The message that a field or column is not there: what is, and which is nearest, as a value of ``key``."""
    close = difflib.get_close_matches(name, there, n=1)
    meant = f"{key}={close[0]}" if close and key else f"'{close[0]}'" if close else ""
    hint = f"; did you mean {meant}?" if close else ""
    return f"no {what} '{name}': there are {', '.join(there[:30]) or 'none'}{hint}"


def unique_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, for ``object_pairs_hook`` of :mod:`json`.

    Raises:
        DataError: a key that stands twice in it.
    """
    made = dict(pairs)
    if len(made) < len(pairs):
        require_unique((key for key, _ in pairs), "an object")
    return made


def nested(record: Any, name: str) -> Any:
    """The value of a field; one with dots is that of an inner object, or of a list by number, unless it is a name.

    Raises:
        KeyError: there is none; its argument says up to where the name leads, in words.
    """
    if isinstance(record, dict) and name in record:
        return record[name]
    first, dot, rest = name.partition(".")
    if isinstance(record, list) and first.isdecimal() and int(first) < len(record):
        inner = record[int(first)]
    elif isinstance(record, dict) and first in record:
        inner = record[first]
    else:
        raise KeyError(_no_step(record, first))
    return nested(inner, rest) if dot else inner


def _no_step(record: Any, step: str) -> str:
    if isinstance(record, dict):
        return missing_name("field", step, list(record))
    if isinstance(record, list):
        return f"no element '{step}' in a list of {len(record)}, which are counted from 0"
    return f"no field '{step}': what it should be in is neither an object nor a list"
