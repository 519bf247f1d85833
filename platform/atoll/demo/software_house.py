"""A software house: the standard library of the Python that runs, one document a file."""

import platform
import sysconfig
from pathlib import Path

from atoll.demo.documents import Document
from atoll.errors import DataError

PACKAGE, VERSION = "Python", platform.python_version()
# Not the standard library's own code: third parties, tests, tables of characters, documentation as a string.
_SKIPPED = {
    "__pycache__",
    "_bundled",
    "dist-packages",
    "encodings",
    "idle_test",
    "lib2to3",
    "pydoc_data",
    "site-packages",
    "test",
    "tests",
}
_SHORTEST = 500


def read() -> list[Document]:
    """About 400 files of UTF-8 source.

    Raises:
        DataError: this Python keeps its library somewhere else, for instance in a zip file.
    """
    root = Path(sysconfig.get_path("stdlib"))
    documents = []
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root)
        # _sysconfigdata is written when Python is built, and holds that machine's paths.
        if _SKIPPED.intersection(relative.parts) or path.name.startswith("_sysconfigdata"):
            continue
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        if len(text) >= _SHORTEST:
            documents.append(Document(relative.as_posix(), text))
    if not documents:
        raise DataError(f"no source of Python's standard library in {root}: run the demo with a Python that has it")
    return documents
