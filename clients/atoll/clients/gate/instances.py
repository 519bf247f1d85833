"""Which starts of a node were this folder's own: a hello that names another one means a copy of the folder answers too.

It is an alarm against who took a copy of folder and keys, and not against the coordinator, which names what it likes.
"""

import secrets
from pathlib import Path

from atoll.clients.gate.alarms import Alarms
from atoll.experts.files import write_atomic

_KEPT = 4096
"""Earlier starts that are known again: a coordinator that heard none of so many heard nothing for years."""
_SHOWN = 64
"""Earlier starts that an answer names: so many may go by without the coordinator hearing any."""


class Instances:
    """The starts of a folder's node, and of the copies of it that came to light."""

    def __init__(self, folder: Path, alarms: Alarms) -> None:
        """Begin a new one, which is added to ``instances.log`` when it is first named.

        Args:
            folder: The node's.
            alarms: Where another folder's start is written.
        """
        self._path, self._alarms = folder / "instances.log", alarms
        self._earlier = self._path.read_text("ascii").split() if self._path.exists() else []
        if len(self._earlier) > _KEPT:
            self._earlier = self._earlier[-_KEPT:]
            write_atomic(self._path, "".join(f"{each}\n" for each in self._earlier).encode("ascii"))
        self._current = secrets.token_hex(16)
        self._written = False

    @property
    def current(self) -> str:
        """This start; on the disk before anybody hears of it."""
        if not self._written:
            with self._path.open("a", encoding="ascii") as handle:
                handle.write(self._current + "\n")
            self._written = True
        return self._current

    @property
    def earlier(self) -> list[str]:
        """The latest starts before this one, oldest first."""
        return self._earlier[-_SHOWN:]

    def hear(self, last: str, *, rival: bool = False) -> bool:
        """Compare what the coordinator heard last under this node's keys with the starts of this folder.

        Args:
            last: The start that answered last; empty where none has.
            rival: Whether another node tried to connect with this node's key while it was connected.

        Returns:
            Whether it is another folder's, which is an alarm.
        """
        if rival:
            self._alarms.ring(
                "another node tries to connect with this node's keys: somebody has a copy of this folder. If it is not "
                "you, tell the operator to revoke this institution, and then make new keys: "
                "atoll node enrol FOLDER --renew"
            )
        if not last or last == self._current or last in self._earlier:
            return False
        self._alarms.ring(
            f"another node answers with this node's keys (it calls itself {last[:12]}): somebody has a copy of this "
            "folder. If it is not you, tell the operator to revoke this institution, and then make new keys: "
            "atoll node enrol FOLDER --renew"
        )
        return True
