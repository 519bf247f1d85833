"""Match a tree of YAML nodes with the types of a dataclass, and say what is wrong in whose words."""

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterator
from typing import Any, Union, get_args, get_origin, get_type_hints

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import MappingNode, Node, ScalarNode, SequenceNode

from atoll.config.nodes import origin, scalar
from atoll.errors import ConfigError

_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def matched(node: Node, hint: Any, path: str, root: type) -> Any:
    """The plain value of a node that fits a type: dicts, lists and scalars.

    Args:
        node: What was written.
        hint: What it should be: a dataclass, ``list[…]``, ``dict[…]``, a scalar type, ``… | None`` or ``Any``.
        path: Dotted key of the node.
        root: The whole schema, to find a misplaced key's place.

    Raises:
        ConfigError: an unknown key or a wrong type.
    """
    hint, optional = _required(hint)
    if isinstance(node, ScalarNode):
        return _scalar(node, hint, optional, path)
    if isinstance(node, MappingNode):
        if dataclasses.is_dataclass(hint):
            chosen = _variant(node, hint)
            fields = _fields(node, chosen, path, root)
            return fields if chosen is hint else OmegaConf.merge(OmegaConf.structured(chosen), fields)
        if hint is Any or hint is dict or get_origin(hint) is dict:
            value_hint = get_args(hint)[1] if get_args(hint) else Any
            return {str(key.value): matched(held, value_hint, _join(path, key.value), root) for key, held in node.value}
    if isinstance(node, SequenceNode) and (hint in (Any, list, tuple) or get_origin(hint) in (list, tuple)):
        item_hint = get_args(hint)[0] if get_args(hint) else Any
        return [matched(item, item_hint, f"{path}[{place}]", root) for place, item in enumerate(node.value)]
    raise _wrong(node, hint, path)


def _variant(node: MappingNode, schema: Any) -> Any:
    """The dataclass to read a mapping into, where a schema leaves that to the mapping's own values.

    Such a schema has a static method ``variant`` from the mapping's scalar values to one of its subclasses.
    """
    if not hasattr(schema, "variant"):
        return schema
    return schema.variant({key.value: held.value for key, held in node.value if isinstance(held, ScalarNode)})


def _fields(node: MappingNode, schema: Any, path: str, root: type) -> dict[str, Any]:
    hints = get_type_hints(schema)
    known = [field.name for field in dataclasses.fields(schema) if field.init]
    values = {}
    for key, held in node.value:
        if key.value not in known:
            place = origin(key) if key.start_mark else origin(held)
            raise ConfigError(f"{place}: unknown key '{_join(path, key.value)}': {_hint(key.value, known, path, root)}")
        values[key.value] = matched(held, hints[key.value], _join(path, key.value), root)
    return values


def _scalar(node: ScalarNode, hint: Any, optional: bool, path: str) -> Any:
    value = scalar(node)
    if isinstance(value, str) and (value.startswith("${") or value == "???"):
        return value  # OmegaConf's reference, and its word for a value that is still to be given
    if value is None and (optional or hint is Any):
        return None
    if hint is Any:
        return value
    if value is None or _container(hint):
        raise _wrong(node, hint, path)
    if hint is str:
        return node.value  # as it was written: `no` is not false, and 007 not 7
    try:
        OmegaConf.merge(DictConfig({}, key_type=str, element_type=hint), {"value": value})
    except OmegaConfBaseException:
        raise _wrong(node, hint, path) from None
    return value


def _wrong(node: Node, hint: Any, path: str) -> ConfigError:
    if isinstance(node, ScalarNode):
        found = "empty" if scalar(node) is None else f"'{node.value[:80]}'"
    else:
        found = "a list" if isinstance(node, SequenceNode) else "a mapping"
    return ConfigError(f"{origin(node)}: '{path}' is {found}, but should be {_expected(hint)}")


def _expected(hint: Any) -> str:
    """A type, in words."""
    if hint in _WORDS:
        return f"{_WORDS[hint]} ({hint.__name__})"
    if dataclasses.is_dataclass(hint):
        hint = _variant(MappingNode("", []), hint)
        return f"a mapping with keys of {', '.join(field.name for field in dataclasses.fields(hint))}"
    if get_origin(hint) is typing.Literal:
        return f"one of {', '.join(str(value) for value in get_args(hint))}"
    if hint in (list, tuple) or get_origin(hint) in (list, tuple):
        return f"a list of {_many(get_args(hint)[0])}" if get_args(hint) else "a list"
    if hint is dict or get_origin(hint) is dict:
        return "a mapping"
    if members := getattr(hint, "__members__", None):
        return f"one of {', '.join(members)}"
    return str(getattr(hint, "__name__", hint))


def _many(hint: Any) -> str:
    if dataclasses.is_dataclass(hint):
        return f"mappings with keys of {', '.join(field.name for field in dataclasses.fields(hint))}"
    return {int: "whole numbers", float: "numbers", str: "texts"}.get(hint, "values")


def _hint(name: str, known: list[str], path: str, root: type) -> str:
    """The place where the name belongs, or the nearest name here, or all names."""
    elsewhere = [whole for whole, last in _paths(root, "") if last == name]
    if elsewhere:
        return f"did you mean '{elsewhere[0]}'?"
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"did you mean '{_join(path, close[0])}'?"
    owner = f"'{path}'" if path else "the configuration"
    return f"{owner} has {', '.join(known)}"


def _paths(schema: Any, path: str, above: tuple[Any, ...] = ()) -> Iterator[tuple[str, str]]:
    """Every key of a schema, whole and its last part, outer keys first."""
    inner = []
    hints = get_type_hints(schema)
    for field in dataclasses.fields(schema):
        whole = _join(path, field.name)
        yield whole, field.name
        hint, _ = _required(hints[field.name])
        if get_origin(hint) is list:
            hint, whole = _required(get_args(hint)[0])[0], f"{whole}[0]"
        hint = _variant(MappingNode("", []), hint)
        if dataclasses.is_dataclass(hint) and hint not in above:
            inner.append((hint, whole))
    for hint, whole in inner:
        yield from _paths(hint, whole, (*above, schema))


def _required(hint: Any) -> tuple[Any, bool]:
    """A type without ``None``, and whether it had it."""
    if get_origin(hint) not in (Union, types.UnionType):
        return hint, False
    rest = [member for member in get_args(hint) if member is not type(None)]
    return (rest[0] if len(rest) == 1 else Union[tuple(rest)]), len(rest) < len(get_args(hint))  # noqa: UP007


def _container(hint: Any) -> bool:
    return dataclasses.is_dataclass(hint) or hint in (list, dict, tuple) or get_origin(hint) in (list, dict, tuple)


def _join(path: str, name: object) -> str:
    return f"{path}.{name}" if path else str(name)
