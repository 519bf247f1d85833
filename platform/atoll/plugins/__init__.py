"""Look up implementations of an extension point by name, through entry points.

A name stands for one thing: where two packages register it, Atoll's own among them, whoever asks for it is told both,
since which of the two answered would depend on the order of folders in an environment.
"""

import dataclasses
import difflib
import os
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import Any, cast

from atoll.errors import ConfigError, PluginError


def names(group: str) -> tuple[str, ...]:
    """Names registered under an entry-point group such as ``atoll.routers``, sorted."""
    return tuple(sorted({entry.name for entry in _registered(group)}))


def load(group: str, name: str) -> Any:
    """The object registered as ``name`` under ``group``.

    Raises:
        PluginError: nothing has that name (the message lists what there is), two packages register it, it fails to
            import, or it calls itself otherwise.
    """
    entry = entry_of(group, name)
    try:
        made = entry.load()
    except Exception as error:  # another package's code, which may raise anything
        source = f"; it comes with the package {entry.dist.name}: update or uninstall that" if entry.dist else ""
        raise PluginError(f"'{name}' of {group} is registered but does not import: {error}{source}") from error
    own = getattr(made, "name", name)
    if isinstance(own, str) and own != name:
        raise PluginError(
            f"'{name}' of {group}, of the package {package_of(entry)}, calls itself '{own}': what it does would be "
            "recorded under a name that is another's; let its attribute `name` be the name that it is registered under"
        )
    return made


def entry_of(group: str, name: str) -> EntryPoint:
    """The one registration of ``name`` under ``group``.

    Raises:
        PluginError: there is none (the message lists what there is), or there are several for different objects.
    """
    found = list(_registered(group).select(name=name))
    if not found:
        known = names(group)
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean '{close[0]}'? " if close else ""
        raise PluginError(f"'{name}' is not registered under {group}: {hint}there are {', '.join(known) or 'none'}")
    if len({entry.value for entry in found}) > 1:
        raise PluginError(twice(group, found))
    return min(found, key=package_of)


def twice(group: str, found: Sequence[EntryPoint]) -> str:
    """What is said of registrations that share a name."""
    told = " and ".join(sorted(f"{package_of(entry)} ({entry.value})" for entry in found))
    return (
        f"'{found[0].name}' of {group} is registered twice, by {told}: which of them answers would be chance; "
        "uninstall one, or let its author give it another name"
    )


def package_of(entry: EntryPoint) -> str:
    """Name and version of the distribution that registers an entry point."""
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unknown package"


def build(group: str, name: str, options: Mapping[str, Any]) -> Any:
    """An instance of the dataclass registered as ``name``, with these options over its defaults.

    Raises:
        PluginError: nothing has that name, or it is no dataclass.
        ConfigError: an option that it does not have, or of the wrong type, or one that refers to something else:
            options come in messages too, and must not be able to name our variables.
    """
    from omegaconf import OmegaConf  # not above: the front door looks commands up, and must answer at once
    from omegaconf.errors import OmegaConfBaseException

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


__all__ = ["build", "entry_of", "load", "names", "package_of", "twice"]
