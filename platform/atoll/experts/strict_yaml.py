"""YAML as a card may use it: plain scalars, lists and mappings; no aliases, tags, repeated keys or deep nesting."""

import difflib
from collections.abc import Collection
from typing import Any

import yaml

from atoll.errors import PackageError

LIMIT_BYTES = 512 * 1024
_DEPTH = 4
_EVENTS = 50_000
"""Scalars, and beginnings and ends of lists and mappings, at most: what bounds the time that a card costs."""
# libyaml's parser takes a twentieth of the time of Python's, which a card of commas keeps busy for ten seconds.
_Safe: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load(data: bytes) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises:
        PackageError: too large, not YAML, not a mapping, or YAML's dangerous parts.
    """
    if len(data) > LIMIT_BYTES:
        raise PackageError(f"is {len(data)} bytes; a card has at most {LIMIT_BYTES}")
    try:
        content = data.decode("utf-8")
        _check_events(content)
        value = yaml.load(content, Loader=_Loader)
    except yaml.YAMLError as error:
        raise PackageError(f"is not plain YAML: {' '.join(str(error).split())[:200]}") from error
    except (UnicodeDecodeError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        # PyYAML's constructors let these out for scalars such as an impossible date or a number of thousands of digits.
        raise PackageError(f"is not plain YAML: {str(error)[:200]}") from error
    if not isinstance(value, dict):
        raise PackageError("is not a YAML mapping of keys to values")
    return value


def expect_keys(where: str, found: Collection[object], known: Collection[str]) -> None:
    """Exactly these keys.

    Raises:
        PackageError: one is unknown or missing; the message names it, and the nearest known one.
    """
    for key in found:
        if key not in known:
            name = str(key)[:80] if isinstance(key, str | int) and not isinstance(key, bool) else type(key).__name__
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"known are {', '.join(known)}"
            raise PackageError(f"unknown key '{where}{name}': {hint}")
    for key in known:
        if key not in found:
            raise PackageError(f"key '{where}{key}' is missing; add it")


def _check_events(content: str) -> None:
    depth = 0
    for count, event in enumerate(yaml.parse(content, Loader=_Safe)):
        if count > _EVENTS:
            raise PackageError(f"has more than {_EVENTS} values; no card needs so many")
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise PackageError(f"uses a YAML alias or anchor in {_line(event)}; write the value out")
        if getattr(event, "tag", None) is not None:
            raise PackageError(f"uses a YAML tag in {_line(event)}; leave it out")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEPTH:
                raise PackageError(f"is nested deeper than {_DEPTH} levels in {_line(event)}")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _line(event: yaml.Event) -> str:
    return f"line {event.start_mark.line + 1}" if event.start_mark else "it"


class _Loader(_Safe):  # type: ignore[misc, valid-type]
    """PyYAML's safe loader, which would otherwise let the last of two equal keys win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise PackageError(f"has the key '{key.value[:80]}' twice, again in line {key.start_mark.line + 1}")
            seen.add(str(key.value) if isinstance(key, yaml.ScalarNode) else "")
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return mapping
