"""Flower's ``Grid`` over functions of this process, for Flower's strategies where all data is on one machine."""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from uuid import uuid4

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from atoll.federation.messages import local_message

Train = Callable[[int, RecordDict], RecordDict]
"""What a node does: its number, what it is sent, what it answers."""

_COORDINATOR = 1


class InProcessGrid(Grid):
    """Nodes that work one after the other, in the order of their numbers, whatever the order of the messages."""

    def __init__(self, nodes: int, train: Train) -> None:
        """Nodes 1 to ``nodes``, all of which do the same."""
        self._nodes, self._train = nodes, train
        self._run = Run.create_empty(1)
        self._replies: dict[str, Message] = {}

    def set_run(self, run: Run) -> None:
        """Take over Flower's description of the run."""
        self._run = run

    @property
    def run(self) -> Run:
        """Flower's description of the run."""
        return self._run

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """A message to one node."""
        return local_message(self._run.run_id, _COORDINATOR, content, message_type, dst_node_id, group_id, ttl)

    def get_node_ids(self) -> list[int]:
        """Counted from 1."""
        return list(range(1, self._nodes + 1))

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Do the work at once; what a node raises is raised here."""
        identifiers = []
        # A strategy draws the nodes in random order, and sums of floats depend on it.
        for message in sorted(messages, key=lambda one: one.metadata.dst_node_id):
            message.metadata.__dict__["_message_id"] = str(uuid4())
            answer = self._train(message.metadata.dst_node_id, message.content)
            self._replies[message.metadata.message_id] = Message(answer, reply_to=message)
            identifiers.append(message.metadata.message_id)
        return identifiers

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Replies; each is given out once."""
        return [self._replies.pop(identifier) for identifier in message_ids if identifier in self._replies]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """Push and pull; nothing is waited for."""
        return self.pull_messages(self.push_messages(messages))


@contextmanager
def strategy_here() -> Iterator[None]:
    """Let Flower's strategies run in this process, in silence: they ask which task of a SuperLink it is."""
    logger, names = logging.getLogger("flwr"), ("_task_id", "_run_id", "_node_id")
    before = logger.level, {name: getattr(TaskIdentity, name) for name in names}
    logger.setLevel(logging.ERROR)
    TaskIdentity.task_id = TaskIdentity.run_id = TaskIdentity.node_id = _COORDINATOR
    try:
        yield
    finally:
        logger.setLevel(before[0])
        for name, value in before[1].items():
            setattr(TaskIdentity, name, value)
