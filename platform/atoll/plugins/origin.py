"""Where a plug-in comes from: which distribution, of which version, with which code."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from atoll.errors import PluginError
from atoll.plugins import entry_of

OURS = "atoll"
"""Atoll's own distribution. What its parts compute is held by the format of what they made, over versions."""


@dataclass(frozen=True, kw_only=True)
class PluginOrigin:
    """What a plug-in was when something was made with it.

    Attributes:
        group: Of entry points, such as ``atoll.routers``.
        name: As registered.
        package: The distribution; empty where none is known.
        version: Of it.
        code: ``sha256:…`` of the Python files of its top-level package: a version does not change while its author
            works on it. Empty for Atoll's own.
    """

    group: str
    name: str
    package: str
    version: str
    code: str = ""

    @property
    def outside(self) -> bool:
        """Whether it is another package's than Atoll's."""
        return self.package != OURS

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.package or 'an unknown package'} {self.version}".strip()


def origin_of(group: str, name: str) -> PluginOrigin:
    """Where what is registered here under a name comes from.

    Raises:
        PluginError: nothing has that name, or several.
    """
    entry = entry_of(group, name)
    package, version = (entry.dist.name, entry.dist.version) if entry.dist else ("", "")
    code = "" if package == OURS else _code(entry.module)
    return PluginOrigin(group=group, name=name, package=package, version=version, code=code)


def difference(then: PluginOrigin) -> str:
    """What is another here than it was then, as a sentence; empty where nothing is.

    Raises:
        PluginError: it is not registered here, or is another package's here.
    """
    try:
        now = origin_of(then.group, then.name)
    except PluginError as error:
        where = f": install {then.title}" if then.outside else ""
        raise PluginError(f"made with '{then.name}' of {then.group} from {then.title}; {error}{where}") from error
    if now.package != then.package:
        raise PluginError(
            f"made with '{then.name}' of {then.group} from {then.title}, and here that name is {now.title}'s, which "
            f"is something else: install {then.title} and uninstall {now.package or 'the other'}"
        )
    if not then.outside or now == then:
        return ""
    told = f"now {now.title}" if now.version != then.version else f"{now.title} too, but with other code"
    return f"'{then.name}' of {then.group} was {then.title} when this was made, and here is {told}"


def _code(module: str) -> str:
    spec = find_spec(module.partition(".")[0])
    if spec is not None and spec.origin is None:  # a folder that several distributions share: its module alone
        spec = find_spec(module)
    if spec is None:
        return ""
    found = hashlib.sha256()
    for name, path in sorted(_files(list(spec.submodule_search_locations or ()), spec.origin)):
        data = path.read_bytes()
        found.update(f"{name}\0{len(data)}\0".encode() + data)
    return f"sha256:{found.hexdigest()}"


def _files(folders: list[str], origin: str | None) -> Iterator[tuple[str, Path]]:
    """Python files, with the names that they have whatever folder they are installed in."""
    if not folders and origin is not None and Path(origin).is_file():
        yield Path(origin).name, Path(origin)
    for folder in map(Path, folders):
        yield from ((path.relative_to(folder).as_posix(), path) for path in folder.rglob("*.py"))


__all__ = ["OURS", "PluginOrigin", "difference", "origin_of"]
