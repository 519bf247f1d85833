"""Which start of each node answered last: two nodes that live under one key are noticed."""

import json
import logging
import re
from collections.abc import Collection
from pathlib import Path

from atoll.experts.files import write_atomic

log = logging.getLogger(__name__)
_REFUSED = re.compile(rb"SuperNode with node ID (\d+) could not be activated")
"""What SuperLink logs when somebody connects with the key of a node that is connected already."""


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


class RefusedSessions:
    """SuperLink holds one connection for a key: what it refuses to a second one is in its log."""

    def __init__(self, path: Path) -> None:
        """At SuperLink's log, of which only what is added from now on is read."""
        self._path = path
        self._read = path.stat().st_size if path.exists() else 0

    def news(self) -> set[int]:
        """Nodes under whose keys a second connection was refused since the last look."""
        try:
            with self._path.open("rb") as handle:
                if handle.seek(0, 2) < self._read:
                    self._read = 0
                handle.seek(self._read)
                text = handle.read()
        except OSError:
            return set()
        whole = text.rfind(b"\n") + 1
        self._read += whole
        return {int(found) for found in _REFUSED.findall(text[:whole])}
