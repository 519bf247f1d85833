"""YAML as a tree of nodes that remember where they were written, and ``key=value`` overrides grafted onto it."""

import re
from typing import Any, ClassVar

import yaml
from yaml import MappingNode, Node, ScalarNode, SequenceNode

from atoll.errors import ConfigError

COMMAND_LINE = "command line"
_TAG = "tag:yaml.org,2002:"
_PLAIN_TAGS = frozenset(_TAG + name for name in ("str", "int", "float", "bool", "null", "map", "seq", "merge"))
_KEY = re.compile(r"[^.\[\]\s]+(\[\d+\])*(\.[^.\[\]\s]+(\[\d+\])*)*")
_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")


class _Loader(yaml.SafeLoader):
    """YAML 1.1 without dates, and with ``1e-3`` a number."""

    yaml_implicit_resolvers: ClassVar = {  # type: ignore[misc]  # the stubs call it an instance's
        first: [(tag, pattern) for tag, pattern in found if tag != _TAG + "timestamp"]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver(
    _TAG + "float", re.compile(r"^[-+]?(\d[\d_]*)(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def compose(text: str, name: str) -> MappingNode:
    """The tree of a YAML document; ``name`` is what messages call it.

    Raises:
        ConfigError: not YAML, not a mapping, a key that is given twice, or a tag; with line and column.
    """
    try:
        loader = _Loader(text)
        loader.name = name
        node = loader.get_single_node()
        if node is None or node.tag == _TAG + "null":
            return empty()
        if not isinstance(node, MappingNode):
            raise ConfigError(f"{name}: is no mapping of keys to values; write `key: value` lines")
        _check(node, loader, set(), ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark and name != COMMAND_LINE else ""
        raise ConfigError(f"{name}{place}: is not YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: is not YAML: {' '.join(str(error).split())}") from error
    except RecursionError:
        raise ConfigError(f"{name}: is nested too deeply; write it flatter") from None
    return node


def empty() -> MappingNode:
    """A tree without keys."""
    return MappingNode(_TAG + "map", [])


def origin(node: Node) -> str:
    """Where a node was written: file and line, or the command line."""
    mark = node.start_mark
    if mark is None:
        return COMMAND_LINE
    return COMMAND_LINE if mark.name == COMMAND_LINE else f"{mark.name}:{mark.line + 1}"


def scalar(node: ScalarNode) -> Any:
    """The value that plain YAML gives a scalar.

    Raises:
        ConfigError: a number that cannot be.
    """
    try:
        return _Loader("").construct_object(node)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{origin(node)}: '{node.value[:80]}' is no value: {error}") from error


def graft(tree: MappingNode, override: str) -> MappingNode:
    """The tree with one ``key=value`` over it; the tree itself is not changed.

    Raises:
        ConfigError: not of that form, or a place that the tree does not have.
    """
    key, equals, value = override.partition("=")
    key = key.strip()
    if not equals or not _KEY.fullmatch(key):
        raise ConfigError(f"{COMMAND_LINE}: '{override}' is no override: write key=value, such as training.steps=100")
    steps = [int(index) if index else name for index, name in _STEP.findall(key)]
    made = _put(tree, steps, _value(value.strip()), "")
    assert isinstance(made, MappingNode)
    return made


def _value(text: str) -> Node:
    """Flow lists, flow mappings and quoted text are YAML; anything else is one scalar, whatever is in it."""
    if text[:1] not in ("[", "{", '"', "'"):
        loader: Any = _Loader("")
        tag = loader.resolve(ScalarNode, text, (True, False)) if text else _TAG + "str"
        return ScalarNode(tag, text)
    try:
        made = compose(f"value: {text}", COMMAND_LINE).value
    except ConfigError as error:
        raise ConfigError(f"{error}, in {text}") from error.__cause__
    if len(made) != 1:
        raise ConfigError(f"{COMMAND_LINE}: '{text}' is not one value")
    node: Node = made[0][1]
    return node


def _put(node: Node | None, steps: list[int | str], value: Node, path: str) -> Node:
    """A copy of ``node`` with ``value`` at ``steps`` below it. Copies, because an alias may share the original."""
    if not steps:
        return value
    step, rest = steps[0], steps[1:]
    if isinstance(step, int):
        if not isinstance(node, SequenceNode):
            raise ConfigError(
                f"{COMMAND_LINE}: '{path}[{step}]': the file gives no list '{path}'; give it whole: {path}=[…]"
            )
        if step >= len(node.value):
            raise ConfigError(
                f"{COMMAND_LINE}: there is no '{path}[{step}]': '{path}' has {len(node.value)}, counted from 0"
            )
        items = list(node.value)
        items[step] = _put(items[step], rest, value, f"{path}[{step}]")
        return SequenceNode(node.tag, items, node.start_mark, node.end_mark)
    if node is None or (isinstance(node, ScalarNode) and node.tag == _TAG + "null"):
        node = empty()
    whole = f"{path}.{step}" if path else step
    if not isinstance(node, MappingNode):
        kind = "a list: write " + f"{path}[0].{step}" if isinstance(node, SequenceNode) else "a value"
        raise ConfigError(f"{COMMAND_LINE}: '{whole}': '{path}' is {kind} in {origin(node)}, and has no keys")
    old = [(name, held) for name, held in node.value if name.value == step]
    key = old[-1][0] if old else ScalarNode(_TAG + "str", step)
    pair = (key, _put(old[-1][1] if old else None, rest, value, whole))
    return MappingNode(
        node.tag, [held for held in node.value if held[0].value != step] + [pair], node.start_mark, node.end_mark
    )


def _check(node: Node, loader: _Loader, seen: set[int], above: tuple[int, ...]) -> None:
    """Refuse tags, repeated keys and endless aliases; resolve ``<<`` merges in place."""
    if id(node) in above:
        raise ConfigError(f"{origin(node)}: an alias stands inside what it stands for; write the value out")
    if id(node) in seen:
        return
    seen.add(id(node))
    above = (*above, id(node))
    if node.tag not in _PLAIN_TAGS:
        raise ConfigError(f"{origin(node)}: the YAML tag {node.tag} is not used here; leave it out")
    if isinstance(node, SequenceNode):
        for item in node.value:
            _check(item, loader, seen, above)
    if not isinstance(node, MappingNode):
        return
    lines: dict[str, str] = {}
    for key, held in node.value:
        if not isinstance(key, ScalarNode):
            raise ConfigError(f"{origin(key)}: a key must be one word, not a list or a mapping")
        if key.value in lines:
            raise ConfigError(f"{origin(key)}: '{key.value}' is given twice, first in {lines[key.value]}; keep one")
        lines[key.value] = origin(key)
        _check(held, loader, seen, above)
    loader.flatten_mapping(node)
    # What `<<` brought comes first; the mapping's own keys go before it.
    node.value = list({key.value: (key, held) for key, held in node.value}.values())
