"""Which start of each node answered last: two nodes that live under one key are noticed."""

import json
import logging
from collections.abc import Collection
from pathlib import Path

from atoll.experts.files import write_atomic

log = logging.getLogger(__name__)


class NodeInstances:
    """The last start of each owner's node that was heard, kept so that a restarted coordinator goes on comparing."""

    def __init__(self, path: Path) -> None:
        """At a file; one that cannot be read is begun anew, for it is only compared with."""
        self._path = path
        try:
            found = json.loads(path.read_text("utf-8"))
            self._last = {str(key): str(value) for key, value in found.items()}
        except FileNotFoundError:
            self._last = {}
        except (OSError, ValueError, AttributeError) as error:
            log.warning("%s cannot be read and is begun anew: %s", path, error)
            self._last = {}

    def last(self, key: str) -> str:
        """The start that answered last under a public key, in hexadecimal digits; empty where none has."""
        return self._last.get(key, "")

    def hear(self, key: str, current: str, earlier: Collection[str]) -> str:
        """Take a node's answer in.

        Args:
            key: The owner's public key.
            current: The node's start; empty for a node that does not name it.
            earlier: The starts of its folder before that.

        Returns:
            What is wrong; empty where nothing is.
        """
        before = self.last(key)
        if not current or current == before:
            return ""
        self._last[key] = current
        write_atomic(self._path, json.dumps(self._last, sort_keys=True).encode())
        if not before or before in earlier:
            return ""
        return (
            f"ALARM: two nodes answer with one owner's keys ({before[:12]} and {current[:12]}, which knows nothing of "
            "it): a copy of the node's folder is in use. Ask the institution; if its folder was stolen, revoke it: "
            "atoll coordinator revoke"
        )
