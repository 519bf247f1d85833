"""Look up implementations of an extension point by name, through entry points."""

import difflib
from importlib.metadata import entry_points
from typing import Any

from atoll.errors import PluginError


def names(group: str) -> tuple[str, ...]:
    """Names registered under an entry-point group such as ``atoll.routers``, sorted."""
    return tuple(sorted({entry.name for entry in entry_points(group=group)}))


def load(group: str, name: str) -> Any:
    """The object registered as ``name`` under ``group``.

    Raises:
        PluginError: nothing has that name, or it fails to import; the message lists what there is.
    """
    found = entry_points(group=group, name=name)
    if not found:
        known = names(group)
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean '{close[0]}'? " if close else ""
        raise PluginError(f"'{name}' is not registered under {group}: {hint}there are {', '.join(known) or 'none'}")
    try:
        return next(iter(found)).load()
    except (ImportError, AttributeError) as error:
        raise PluginError(f"'{name}' of {group} is registered but does not import: {error}") from error


__all__ = ["load", "names"]
