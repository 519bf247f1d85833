"""What is timed: rounds, each a work unit for every silo, on an engine that is up."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from flwr.app import Message, MessageType
from flwr.common.serde import message_to_proto
from flwr.serverapp import Grid

from atoll.benchmarks.federation.client import work_seconds, work_unit


@dataclass(frozen=True, slots=True)
class Round:
    """One round.

    Attributes:
        seconds: Wall time from handing the messages over to having all replies.
        work: Seconds that each silo worked, measured inside.
        bytes_out: Of all messages to silos.
        bytes_in: Of all replies.
    """

    seconds: float
    work: tuple[float, ...]
    bytes_out: int
    bytes_in: int

    def overhead(self, parallel: int) -> float:
        """Seconds for each work unit beyond what the work would take, packed without a gap on ``parallel`` cores."""
        units = len(self.work)
        return (self.seconds - sum(self.work) / min(units, parallel)) / units


@dataclass(frozen=True, slots=True)
class Session:
    """An engine, from its start on.

    Attributes:
        startup: Seconds from nothing to every silo having answered once.
        rounds: After that.
    """

    startup: float
    rounds: tuple[Round, ...]


def seen(seconds: float, sent: Iterable[Message], replies: Iterable[Message]) -> Round:
    """A round, from its messages. Bytes are those of Flower's protobuf, whatever form the engine gave them."""
    replies = list(replies)
    return Round(
        seconds=seconds,
        work=tuple(map(work_seconds, replies)),
        bytes_out=sum(message_to_proto(message).ByteSize() for message in sent),
        bytes_in=sum(message_to_proto(reply).ByteSize() for reply in replies),
    )


def session(grid: Grid, began: float, seeds: Sequence[int], steps: int) -> Session:
    """Rounds on a grid that has been asked for, but has answered nothing yet.

    Args:
        grid: The engine.
        began: When it was asked for, by ``time.perf_counter``.
        seeds: One a round.
        steps: Of training, in each unit.
    """
    _round(grid, seeds[0], steps)
    startup = time.perf_counter() - began
    return Session(startup, tuple(_round(grid, seed, steps) for seed in seeds))


def _round(grid: Grid, seed: int, steps: int) -> Round:
    unit = work_unit(seed, steps)
    nodes = list(grid.get_node_ids())
    began = time.perf_counter()
    sent = [grid.create_message(unit, MessageType.TRAIN, node, "") for node in nodes]
    replies = list(grid.send_and_receive(sent))
    seconds = time.perf_counter() - began
    assert len(replies) == len(nodes)
    return seen(seconds, sent, replies)
