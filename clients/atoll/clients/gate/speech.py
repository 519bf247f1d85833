"""What a running node says: to the terminal for people, and to a log of JSON lines."""

import logging
import sys
from pathlib import Path

from atoll.coordinator.status.logs import log_to


def speak(folder: Path) -> None:
    """Let ``atoll``'s log be seen and kept."""
    root = logging.getLogger("atoll")
    root.setLevel(logging.INFO)
    root.propagate = False
    shown = logging.StreamHandler(sys.stderr)
    shown.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    root.addHandler(shown)
    logging.getLogger("flwr").setLevel(logging.CRITICAL)  # what matters of it we say ourselves
    if folder.is_dir():
        log_to(folder / "node.log", level=logging.INFO)
