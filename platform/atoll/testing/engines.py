"""What every engine promises, as checks over a ``Grid`` whose nodes, two or more, run ``CLIENT_APP``.

Each leaves the grid as it found it, so that one grid may serve them all; nodes must have answered once before, so that
no check waits for them to start. Waiting times leave room for an engine that polls every second. A promise that is
broken is an AssertionError.
"""

import os
import time
from collections.abc import Callable, Iterable
from typing import Any

from flwr.app import ConfigRecord, Message, MessageType, RecordDict
from flwr.serverapp import Grid

CLIENT_APP = "atoll.testing.engine_client:app"
"""What the nodes run."""
_PATIENCE = 60.0


def check_nodes_wake(grid: Grid) -> None:
    """Every node answers, however long it takes to start."""
    replies = list(grid.send_and_receive([_ask(grid, node) for node in grid.get_node_ids()]))
    assert all(map(_said, replies))


def _ask(grid: Grid, node: int, what: str = "echo", *, seconds: float = 0.0, payload: bytes = b"") -> Message:
    wanted = ConfigRecord({"what": what, "seconds": seconds, "payload": payload})
    return grid.create_message(RecordDict({"do": wanted}), MessageType.QUERY, node, "")


def _said(reply: Message) -> dict[str, Any]:
    assert not reply.has_error(), reply.error.reason
    return dict(reply.content.config_records["said"])


def _send(grid: Grid, messages: Iterable[Message]) -> list[Message]:
    sent = list(messages)
    replies = list(grid.send_and_receive(sent, timeout=_PATIENCE))
    assert len(replies) == len(sent)
    return replies


def _pull(grid: Grid, identifiers: Iterable[str]) -> list[Message]:
    waiting, found = set(identifiers), list[Message]()
    end = time.monotonic() + _PATIENCE
    while waiting and time.monotonic() < end:
        came = list(grid.pull_messages(waiting))
        found += came
        waiting -= {reply.metadata.reply_to_message_id for reply in came}
        time.sleep(0.05)
    assert not waiting, "not answered"
    return found


def check_nodes(grid: Grid) -> None:
    """Nodes are listed, each once."""
    nodes = list(grid.get_node_ids())
    assert len(nodes) == len(set(nodes)) > 1
    assert sorted(grid.get_node_ids()) == sorted(nodes)


def check_delivery(grid: Grid) -> None:
    """A message reaches its node, and its reply says what it answers."""
    asked = {node: _ask(grid, node, payload=str(node).encode()) for node in grid.get_node_ids()}
    replies = {reply.metadata.src_node_id: reply for reply in _send(grid, asked.values())}
    assert replies.keys() == asked.keys()
    for node, reply in replies.items():
        assert reply.metadata.reply_to_message_id == asked[node].metadata.message_id
        assert reply.metadata.message_type == MessageType.QUERY
        assert (_said(reply)["node"], _said(reply)["payload"]) == (str(node), str(node).encode())


def check_push_and_pull(grid: Grid) -> None:
    """Pushing does not wait, pulling gives what is there, and each reply is given out once."""
    first, second, *_ = grid.get_node_ids()
    began = time.monotonic()
    identifiers = list(grid.push_messages([_ask(grid, first, "sleep", seconds=2), _ask(grid, second)]))
    assert list(grid.pull_messages(identifiers[:1])) == []
    assert time.monotonic() - began < 2
    found = _pull(grid, identifiers)
    assert {reply.metadata.reply_to_message_id for reply in found} == set(identifiers)
    assert not [reply for reply in found if reply.has_error()]
    assert list(grid.pull_messages(identifiers)) == []


def check_waiting(grid: Grid) -> None:
    """Without a deadline, all replies are waited for."""
    first, *others = grid.get_node_ids()
    messages = [_ask(grid, first, "sleep", seconds=1), *(_ask(grid, node) for node in others)]
    replies = list(grid.send_and_receive(messages))
    assert {reply.metadata.src_node_id for reply in replies} == {first, *others}
    assert all(map(_said, replies))


def check_deadline(grid: Grid) -> None:
    """A deadline gives what has arrived; what comes later can be pulled."""
    first, second, *_ = grid.get_node_ids()
    late, soon = _ask(grid, first, "sleep", seconds=7), _ask(grid, second)
    began = time.monotonic()
    (reply,) = grid.send_and_receive([late, soon], timeout=4)
    assert 3.5 < time.monotonic() - began < 7
    assert reply.metadata.reply_to_message_id == soon.metadata.message_id
    assert _said(_pull(grid, [late.metadata.message_id])[0])["node"] == str(first)


def check_errors(grid: Grid) -> None:
    """An app that raises is an error that says so, and its node serves on."""
    bad, *good = grid.get_node_ids()
    replies = {
        r.metadata.src_node_id: r for r in _send(grid, [_ask(grid, bad, "raise"), *(_ask(grid, n) for n in good)])
    }
    assert replies[bad].has_error()
    assert "one by nought" in (replies[bad].error.reason or "")
    assert all(_said(replies[node]) for node in good)
    assert _said(_send(grid, [_ask(grid, bad)])[0])["node"] == str(bad)


def check_large_payload(grid: Grid) -> None:
    """20 MiB arrive as they were sent, both ways."""
    payload = os.urandom(20 << 20)
    (reply,) = _send(grid, [_ask(grid, next(iter(grid.get_node_ids())), payload=payload)])
    assert _said(reply)["payload"] == payload


def check_turns(grid: Grid) -> None:
    """A node answers all messages, one after the other, and remembers."""
    node, *_ = grid.get_node_ids()
    before = _said(_send(grid, [_ask(grid, node)])[0])["times"]
    payloads = [str(number).encode() for number in range(20)]
    replies = _send(grid, [_ask(grid, node, "sleep", seconds=0.05, payload=payload) for payload in payloads])
    assert sorted(payloads) == sorted(_said(reply)["payload"] for reply in replies)
    # What the node remembers of each message was there for the next one.
    assert sorted(_said(reply)["times"] for reply in replies) == [before + 1 + number for number in range(20)]


ENGINE_CHECKS: tuple[Callable[[Grid], None], ...] = (
    check_nodes,
    check_delivery,
    check_push_and_pull,
    check_waiting,
    check_deadline,
    check_errors,
    check_large_payload,
    check_turns,
)
"""All of them."""
