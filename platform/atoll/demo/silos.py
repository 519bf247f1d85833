"""Write the demo's silos: four folders of real text, once."""

import glob
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from atoll.demo.documents import choose, distinct
from atoll.demo.sources import SOURCES, Source
from atoll.errors import DataError

_RECIPE = 1  # another number wherever the same source gives other documents than before
_MANIFEST = "manifest.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoSilo:
    """A silo on disk, and how the text workload reads it.

    Attributes:
        name: ``hospital``, ``law-firm``, ``library`` or ``software-house``.
        domain: What the text is, in a few words.
        folder: The silo's folder; the text is below ``data``.
        paths: Globs of the data files.
        format: ``text``, ``jsonl`` or ``parquet``.
        field: The field or column with the text; empty for ``text``.
        document: What a document is in a text file: the whole ``file``.
        licence: Of the text, and of the package where it differs.
        source: The package that the text comes from, and its version.
        documents: How many there are.
        characters: How long they are together.
        digest: ``sha256:…`` over the data files' names and bytes.
    """

    name: str
    domain: str
    folder: Path
    paths: tuple[str, ...]
    format: str
    field: str
    document: str
    licence: str
    source: str
    documents: int
    characters: int
    digest: str

    def text_config(self) -> dict[str, object]:
        """The fields of the text workload's configuration that name this data."""
        config: dict[str, object] = {"paths": list(self.paths), "format": self.format, "document": self.document}
        return {**config, "field": self.field} if self.field else config


def write_silos(root: Path, scale: float = 1.0, progress: Callable[[str], None] | None = None) -> tuple[DemoSilo, ...]:
    """Write the four silos below ``root``; what is there and whole already is left as it is.

    Each silo appears at once or not at all, so an interrupted call leaves nothing half written.

    Args:
        root: A folder; made where missing. Each silo is a folder in it.
        scale: 1 gives 1.2 to 6 million characters a silo, smaller gives a share of that.
        progress: Told one line a silo, when work on it begins.

    Raises:
        DataError: a package is missing (says which to install), or a silo's folder holds something else.
    """
    if not 0 < scale <= 1:
        raise DataError(f"the demo's silos cannot be scaled by {scale}: give a number above 0 and at most 1")
    root = root.resolve()  # workers have other working folders
    root.mkdir(parents=True, exist_ok=True)
    return tuple(_silo(root, source, scale, progress or (lambda line: None)) for source in SOURCES)


def _silo(root: Path, source: Source, scale: float, progress: Callable[[str], None]) -> DemoSilo:
    folder = root / source.name
    budget = round(source.characters * scale)
    wanted = {"recipe": _RECIPE, "source": f"{source.package} {source.version}", "characters_wanted": budget}
    silo = _existing(folder, source, wanted)
    if silo is None:
        progress(f"{source.name}: {source.domain}, from {source.package} {source.version}")
        _publish(_make(root, source, budget, wanted), folder)
        silo = _existing(folder, source, wanted)
    if silo is None:
        raise DataError(f"{folder} changed while it was written: does something else write there?")
    return silo


def _make(root: Path, source: Source, budget: int, wanted: dict[str, object]) -> Path:
    """A new folder beside the final one, with the data and then the manifest."""
    # Near copies are dropped from three times the budget, not from all there is: enough for licences, and quick.
    documents = choose(distinct(choose(source.read(), 3 * budget)), budget)
    made = Path(tempfile.mkdtemp(prefix=f".{source.name}-", dir=root))
    try:
        (made / "data").mkdir()
        source.write(made / "data", documents)
        size = {"documents": len(documents), "characters": sum(len(each.text) for each in documents)}
        manifest = {**wanted, **size, "licence": source.licence, "digest": _digest(made / "data")}
        (made / _MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    except BaseException:
        shutil.rmtree(made)
        raise
    return made


def _publish(made: Path, folder: Path) -> None:
    """Put ``made`` where ``folder`` is; only what this module once wrote is replaced."""
    if (folder / _MANIFEST).is_file():
        shutil.rmtree(folder)
    try:
        made.rename(folder)
    except OSError as error:
        shutil.rmtree(made)
        # Another process may have been quicker; then what it wrote is as good.
        if not (folder / _MANIFEST).is_file():
            raise DataError(f"{folder} holds something else than the demo's text: give another folder") from error


def _existing(folder: Path, source: Source, wanted: dict[str, object]) -> DemoSilo | None:
    """The silo that lies in ``folder``, if it is the wanted one and no byte of it has changed."""
    try:
        manifest = json.loads((folder / _MANIFEST).read_text("utf-8"))
        if {key: manifest.get(key) for key in wanted} != wanted or manifest["digest"] != _digest(folder / "data"):
            return None
    except (OSError, ValueError, KeyError, AttributeError):
        return None
    return DemoSilo(
        name=source.name,
        domain=source.domain,
        folder=folder,
        paths=(f"{glob.escape(str(folder / 'data'))}/{source.files}",),
        format=source.format,
        field=source.field,
        document="file",
        licence=source.licence,
        source=str(wanted["source"]),
        documents=int(manifest["documents"]),
        characters=int(manifest["characters"]),
        digest=str(manifest["digest"]),
    )


def _digest(folder: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        data = path.read_bytes()
        total.update(json.dumps([path.relative_to(folder).as_posix(), len(data)]).encode())
        total.update(data)
    return f"sha256:{total.hexdigest()}"
