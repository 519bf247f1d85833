"""A configuration as YAML that explains itself: above every key stands what its dataclass says of it."""

import dataclasses
import inspect
import re
import textwrap
from typing import Any

import yaml

from atoll.config.reader import to_yaml

_WIDTH = 100
_ROLE = re.compile(r":\w+:`~?([^`]*)`")


def to_commented_yaml(config: Any) -> str:
    """YAML that :func:`atoll.config.read_config` reads to an equal configuration; comments come from the docstrings.

    Args:
        config: A dataclass, whose docstring has a section ``Attributes``; the same of dataclasses within it.
    """
    return "\n".join(_lines(config, "")) + "\n"


def _lines(config: Any, indent: str) -> list[str]:
    described = attributes_of(type(config))
    plain = yaml.safe_load(to_yaml(config))
    lines: list[str] = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        comment = described.get(field.name, "")
        lines += textwrap.wrap(
            comment, _WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ", break_on_hyphens=False
        )
        if dataclasses.is_dataclass(value):
            lines += [f"{indent}{field.name}:", *_lines(value, indent + "  ")]
        else:
            written = yaml.safe_dump({field.name: plain[field.name]}, allow_unicode=True, width=_WIDTH)
            lines += textwrap.indent(written, indent).splitlines()
    return lines


def attributes_of(kind: type) -> dict[str, str]:
    """What a dataclass's docstring says of its fields, by name, each in one line."""
    _, _, section = (inspect.getdoc(kind) or "").partition("Attributes:\n")
    found: dict[str, list[str]] = {}
    name = ""
    for line in section.splitlines():
        entry = re.fullmatch(r"    (\w+): (.*)", line)
        if entry is not None:
            name, text = entry.groups()
            found[name] = [text]
        elif name and line.startswith("        "):
            found[name].append(line.strip())
        elif line.strip():
            break
    return {name: _ROLE.sub(r"\1", " ".join(parts)).replace("``", "`") for name, parts in found.items()}
