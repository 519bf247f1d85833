"""Look up implementations of an extension point by name, through entry points."""

import dataclasses
import difflib
import os
import sys
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import EntryPoints, entry_points
from typing import Any, cast

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from atoll.errors import ConfigError, PluginError


def names(group: str) -> tuple[str, ...]:
    """Names registered under an entry-point group such as ``atoll.routers``, sorted."""
    return tuple(sorted({entry.name for entry in _registered(group)}))


def load(group: str, name: str) -> Any:
    """The object registered as ``name`` under ``group``.

    Raises:
        PluginError: nothing has that name, or it fails to import; the message lists what there is.
    """
    found = _registered(group).select(name=name)
    if not found:
        known = names(group)
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean '{close[0]}'? " if close else ""
        raise PluginError(f"'{name}' is not registered under {group}: {hint}there are {', '.join(known) or 'none'}")
    entry = next(iter(found))
    try:
        return entry.load()
    except Exception as error:  # another package's code, which may raise anything
        source = f"; it comes with the package {entry.dist.name}: update or uninstall that" if entry.dist else ""
        raise PluginError(f"'{name}' of {group} is registered but does not import: {error}{source}") from error


def build(group: str, name: str, options: Mapping[str, Any]) -> Any:
    """An instance of the dataclass registered as ``name``, with these options over its defaults.

    Raises:
        PluginError: nothing has that name, or it is no dataclass.
        ConfigError: an option that it does not have, or of the wrong type, or one that refers to something else:
            options come in messages too, and must not be able to name our variables.
    """
    kind = load(group, name)
    if not dataclasses.is_dataclass(kind):
        raise PluginError(f"'{name}' of {group} is not a dataclass, so it has no options to build it from")
    known = [field.name for field in dataclasses.fields(kind)]
    for option in options:
        if option not in known:
            close = difflib.get_close_matches(option, known, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"it has {', '.join(known) or 'no options'}"
            raise ConfigError(f"'{name}' of {group} has no option '{option}': {hint}")
    if "${" in repr(options):
        raise ConfigError(f"'{name}' of {group}: options are plain values, and here is an interpolation: {options}")
    try:
        return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(kind), dict(options)))
    except OmegaConfBaseException as error:
        raise ConfigError(f"'{name}' of {group}: {str(error).splitlines()[0]}") from error


def _registered(group: str) -> EntryPoints:
    """What is installed now."""
    return _of(group, tuple((folder, _changed(folder)) for folder in sys.path))


@lru_cache(maxsize=64)
def _of(group: str, folders: tuple[tuple[str, int], ...]) -> EntryPoints:
    return _read(folders).select(group=group)


@lru_cache(maxsize=8)
def _read(folders: tuple[tuple[str, int], ...]) -> EntryPoints:
    # Python reads the files of every installed package for it, tens of milliseconds; a release of a thousand experts
    # asks thousands of times. An installation changes its folder.
    return cast(EntryPoints, entry_points())  # in Python 3.11 a mapping, which selects likewise


def _changed(folder: str) -> int:
    try:
        return os.stat(folder or ".").st_mtime_ns
    except OSError:
        return 0


__all__ = ["build", "load", "names"]
