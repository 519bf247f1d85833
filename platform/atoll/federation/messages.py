"""Messages of engines that run on this machine, where no SuperLink gives them their place."""

import time

from flwr.app import DEFAULT_TTL, Message, Metadata, RecordDict


def local_message(
    run: int, source: int, content: RecordDict, message_type: str, destination: int, group: str, ttl: float | None
) -> Message:
    """A message from the coordinator to one node.

    Said in full, because Flower's short form asks the process which task of a SuperLink it is, and here it is none.
    """
    metadata = Metadata(
        run_id=run,
        message_id="",
        src_node_id=source,
        dst_node_id=destination,
        reply_to_message_id="",
        group_id=group,
        created_at=time.time(),
        ttl=ttl or DEFAULT_TTL,
        message_type=message_type,
    )
    return Message(content=content, metadata=metadata)  # type: ignore[call-overload, no-any-return]
