"""Where an owner's own expert is, and the anchor that it is for: from its files alone."""

from collections.abc import Iterator
from pathlib import Path

from atoll.anchors import Anchor, resolve
from atoll.anchors.resolve import DEFAULT, IMAGES, MOBILITY
from atoll.config import read_config
from atoll.errors import AnchorError, ConfigError, PackageError
from atoll.experts.package import verify_package
from atoll.experts.signing import PublicKey
from atoll.federation.node_config import NodeConfig

_NODE = "node.yaml"
_KNOWN = (DEFAULT, MOBILITY, IMAGES, "smollm2")


def find_package(given: Path, expert: str = "") -> Path:
    """The package that is meant.

    Args:
        given: A package, an unpacked one, or a node's folder.
        expert: Digest of the one that is meant, of several in a node's folder; the latest where it is empty.

    Raises:
        PackageError: there is none.
    """
    if not (given / _NODE).is_file():
        return given
    for path in sorted(own_packages(given), key=lambda path: path.stat().st_mtime, reverse=True):
        if not expert or verify_package(path, trusted=None).digest == expert:
            return path
    raise PackageError(f"{given}: this node has no expert{f' {expert}' if expert else ''}; it has trained none yet")


def own_packages(node: Path) -> Iterator[Path]:
    """The packages that a node has made, finished ones."""
    yield from (node / "work").glob("*/*.atoll")


def anchor_for(package: Path, given: str | Path, trusted: PublicKey | None) -> Anchor:
    """The anchor that a package is for.

    Args:
        package: The package.
        given: Where the anchor is; or, as a path, where the package came from: of a node's folder its own anchor is
            taken, and else one that comes with Atoll.
        trusted: Who must have signed the package; ``None`` takes anyone's valid signature.

    Raises:
        PackageError: the package is refused.
        AnchorError: it is another anchor, or none is at hand.
    """
    wanted = verify_package(package, trusted=trusted).card.anchor
    named = given if isinstance(given, str) else _node_anchor(given)
    if named:
        found = resolve(named)
        if found.digest != wanted:
            raise AnchorError(f"the expert is for the anchor {wanted}, and '{named}' is {found.digest}")
        return found
    for name in _KNOWN:
        try:
            found = resolve(name)
        except AnchorError:  # not installed here
            continue
        if found.digest == wanted:
            return found
    raise AnchorError(
        f"the expert is for the anchor {wanted}, which does not come with Atoll: give its folder (--anchor)"
    )


def _node_anchor(folder: Path) -> str:
    if not (folder / _NODE).is_file():
        return ""
    try:
        return read_config(NodeConfig, folder / _NODE, []).anchor
    except ConfigError as error:
        raise ConfigError(f"{folder / _NODE}: {error}") from error
