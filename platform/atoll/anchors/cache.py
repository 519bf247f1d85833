"""Where Atoll keeps what it can make again."""

import os
from pathlib import Path


def cache_root() -> Path:
    """``$ATOLL_CACHE``, or ``~/.cache/atoll``."""
    given = os.environ.get("ATOLL_CACHE")
    return Path(os.path.expanduser(given)) if given else Path.home() / ".cache" / "atoll"
