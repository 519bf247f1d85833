"""Read a configuration into the dataclass that describes it, and write one back as YAML."""

import dataclasses
import difflib
import enum
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf, read_write
from omegaconf.errors import OmegaConfBaseException

from atoll.config.nodes import compose, empty, graft
from atoll.config.schema import matched
from atoll.errors import ConfigError

T = TypeVar("T")


def read_config(schema: type[T], file: Path | None, overrides: Sequence[str]) -> T:
    """An instance of ``schema``: its defaults, under the file's values, under the overrides.

    A list or a mapping that is given takes the place of its default, so an empty one means none.

    Every value is checked against the schema as it was written, so that a refusal can say where that is; then OmegaConf
    merges, resolves ``${…}`` and builds the dataclasses.

    Args:
        schema: A dataclass of numbers, text, booleans, lists, mappings and further dataclasses. Fields without a
            default, or with OmegaConf's ``MISSING``, must be given.
        file: YAML; ``None`` for the defaults alone.
        overrides: Each ``key=value``, with a key such as ``training.steps`` or ``silos[1].name``. Lists and mappings
            are written as ``[a, b]`` and ``{a: 1}``; anything else is taken as it stands.

    Raises:
        ConfigError: an unknown key, a wrong type, a missing value, bad YAML or no such file; the message names the
            key, the place and what would be right.
    """
    tree = empty() if file is None else compose(_text(file), str(file))
    for override in overrides:
        tree = graft(tree, override)
    where = "the configuration" if file is None else str(file)
    values = matched(tree, schema, "", schema)
    try:
        merged = OmegaConf.merge(_cleared(OmegaConf.structured(schema), values), values)
        _pruned(merged, values)
        missing = sorted(OmegaConf.missing_keys(merged))
        if missing:
            raise ConfigError(f"{where}: {_listed(missing)} must be given, in the file or as key=value")
        made = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        # What is left by now is an interpolation that leads nowhere, or to a value of another type.
        key = getattr(error, "full_key", None)
        named = f"'{key}': " if key else ""
        raise ConfigError(f"{where}: {named}{str(error).splitlines()[0]}") from error
    assert isinstance(made, schema)
    return made


def to_yaml(config: Any) -> str:
    """A configuration as YAML that :func:`read_config` reads to an equal one; keys in the dataclass's order."""
    return yaml.safe_dump(_plain(config), sort_keys=False, allow_unicode=True, width=100)


def literal(text: str) -> str:
    """The text as it is written in a configuration so that no ``${…}`` in it is taken for a reference."""
    return re.sub(r"(\\*)\$\{", lambda found: found[1] * 2 + "\\${", text)


def _cleared(defaults: Any, given: dict[str, Any]) -> Any:
    """The defaults without what a given mapping takes the place of: OmegaConf alone would add to it, and ``{}`` would
    change nothing.
    """
    for key, value in given.items():
        if not isinstance(value, dict | DictConfig) or not isinstance(defaults, DictConfig) or key not in defaults:
            continue
        if OmegaConf.is_missing(defaults, key) or not isinstance(defaults[key], DictConfig):
            continue
        if OmegaConf.get_type(defaults, key) is dict:
            with read_write(defaults):
                defaults[key] = {}
        else:
            _cleared(defaults[key], dict(value))
    return defaults


def _pruned(merged: Any, given: Any) -> None:
    """Take out what merging added to given mappings from the defaults of a list's and a mapping's own elements, which
    are made only then.
    """
    if isinstance(given, list | ListConfig) and isinstance(merged, ListConfig):
        for place, value in enumerate(given):
            _pruned_at(merged, place, value)
    if isinstance(given, dict | DictConfig) and isinstance(merged, DictConfig):
        if OmegaConf.get_type(merged) is dict:
            with read_write(merged):
                for key in [key for key in merged if key not in given]:
                    del merged[key]
        for key, value in given.items():
            _pruned_at(merged, key, value)


def _pruned_at(merged: Any, key: Any, given: Any) -> None:
    plain = isinstance(given, dict | DictConfig | list | ListConfig)
    if plain and not OmegaConf.is_missing(merged, key) and not OmegaConf.is_interpolation(merged, key):
        _pruned(merged[key], given)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{file}: there is no such file{_nearest(file)}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: byte {error.start} is not UTF-8; save the file as UTF-8") from None
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror}); name a YAML file") from error


def _nearest(file: Path) -> str:
    """What the caller may have meant, of the files that lie there."""
    folder = file.parent
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    if folder != file.parent:
        return f", nor its folder; the path is right as far as {folder}"
    files = sorted(entry.name for entry in folder.iterdir() if entry.suffix in (".yaml", ".yml") and entry.is_file())
    close = difflib.get_close_matches(file.name, files, n=1)
    if close:
        return f"; did you mean {folder / close[0]}?"
    return f"; {folder} holds {', '.join(files[:8])}" if files else f"; there is no YAML file in {folder}"


def _listed(keys: Sequence[str]) -> str:
    return ", ".join(f"'{key}'" for key in keys)


def _plain(value: Any) -> Any:
    """The same in YAML's own types."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: _plain(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(held) for held in value]
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, str):
        return literal(value)  # text by now, and no longer a reference
    return value
