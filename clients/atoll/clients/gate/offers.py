"""Experts that a node offers by itself, without having been asked to train: successors of earlier ones."""

import json
from pathlib import Path

from atoll.errors import FederationError
from atoll.experts.files import write_atomic
from atoll.federation.blobs import BlobStore
from atoll.federation.talk import Offer

_FILE = "offers.json"
_MOST = 100


def offer(root: Path, expert: str, package: Path) -> str:
    """Lay a package out for the coordinator to fetch; its blob's digest. The latest comes first."""
    blob = BlobStore(root / "outgoing").adopt(package)
    made = Offer(expert=expert, blob=blob, size=package.stat().st_size)
    known = [each for each in offers(root) if each.blob != blob]
    content = [json.loads(each.to_json()) for each in [made, *known][:_MOST]]
    write_atomic(root / _FILE, json.dumps(content).encode())
    return blob


def offers(root: Path) -> list[Offer]:
    """What is laid out, and there.

    Raises:
        FederationError: the list cannot be read.
    """
    path, outgoing = root / _FILE, BlobStore(root / "outgoing")
    if not path.exists():
        return []
    try:
        listed = [Offer.from_json(json.dumps(each)) for each in json.loads(path.read_text("utf-8"))]
    except (OSError, ValueError) as error:
        raise FederationError(
            f"{path}: cannot be read ({error}); remove it, and nothing is offered any more"
        ) from error
    return [each for each in listed if outgoing.there(each.blob)]
