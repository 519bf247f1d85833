"""Packages of others, as pip leaves them in a folder: a module, its metadata and its entry points."""

from collections.abc import Mapping
from pathlib import Path


def install(folder: Path, name: str, version: str, source: str, entries: Mapping[str, Mapping[str, str]]) -> Path:
    """Install a distribution whose one module is called as it is.

    Args:
        folder: To be put on ``sys.path``.
        name: Of the distribution and of its module.
        version: Its own.
        source: Of the module.
        entries: By group and name, the attribute of the module.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.py").write_text(source)
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = []
    for group, named in entries.items():
        lines += [f"[{group}]", *(f"{entry} = {name}:{attribute}" for entry, attribute in named.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return folder
