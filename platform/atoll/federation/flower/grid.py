"""Flower's ``Grid`` over HTTP, with the manners that all of our engines have."""

import time
from collections.abc import Iterable

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid
from flwr.supercore.run import Run


class PromptGrid(Grid):
    """As Flower's own over HTTP, but it looks for replies more often than every three seconds, and gives each once."""

    def __init__(self, grid: Grid) -> None:
        """Around another."""
        self._grid = grid
        self._given: set[str] = set()

    def set_run(self, run: Run) -> None:
        """Take over Flower's description of the run."""
        self._grid.set_run(run)

    @property
    def run(self) -> Run:
        """Flower's description of the run."""
        return self._grid.run

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """A message to one node."""
        return self._grid.create_message(content, message_type, dst_node_id, group_id, ttl)

    def get_node_ids(self) -> Iterable[int]:
        """Of the nodes that are there."""
        return self._grid.get_node_ids()

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Hand messages to SuperLink."""
        return self._grid.push_messages(list(messages))

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Replies that have arrived; each is given out once."""
        wanted = [each for each in message_ids if each not in self._given]
        found = list(self._grid.pull_messages(wanted)) if wanted else []
        self._given.update(reply.metadata.reply_to_message_id for reply in found)
        return found

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """Push, and wait for all replies or for ``timeout`` seconds; what has arrived by then is returned."""
        waiting = set(self.push_messages(messages))
        end = None if timeout is None else time.monotonic() + timeout
        replies: list[Message] = []
        while waiting and (end is None or time.monotonic() < end):
            came = list(self.pull_messages(waiting))
            replies += came
            waiting -= {reply.metadata.reply_to_message_id for reply in came}
            if not came:
                time.sleep(0.05)
        return replies
