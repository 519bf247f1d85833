"""Which records an institution's node must pass over: a list of keyed digests in the node's folder."""

import json
import secrets
from pathlib import Path

from atoll.errors import ConfigError
from atoll.experts.files import write_atomic
from atoll.workloads.excluded import Excluded

_LIST, _KEY = "forgotten.json", "forgotten.key"


def read_forgotten(folder: Path) -> Excluded | None:
    """What ``folder``, a node's, must pass over; ``None`` where nothing was ever forgotten.

    Raises:
        ConfigError: the list cannot be read, or its key is gone: then what is on it could come back unnoticed.
    """
    path = folder / _LIST
    if not path.exists():
        return None
    try:
        digests = json.loads(path.read_text("utf-8"))["digests"]
        return Excluded((folder / _KEY).read_bytes(), frozenset(map(str, digests)))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path}: the list of forgotten records, or its key {folder / _KEY}, cannot be read ({error}); without it "
            "they would be trained on again: restore both from a copy of the folder"
        ) from error


def open_forgotten(folder: Path) -> Excluded:
    """The same, to be added to; a key is made with the first record."""
    known = read_forgotten(folder)
    if known is not None:
        return known
    if not (folder / _KEY).exists():
        write_atomic(folder / _KEY, secrets.token_bytes(32), mode=0o600)
    return Excluded((folder / _KEY).read_bytes())


def write_forgotten(folder: Path, excluded: Excluded) -> None:
    """Keep the list; it holds digests alone, which nobody can try out without the key."""
    text = json.dumps({"digests": sorted(excluded.digests)}, indent=1) + "\n"
    write_atomic(folder / _LIST, text.encode(), mode=0o600)
