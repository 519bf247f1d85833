"""Frames between the embedded engine and its workers: a tag, a length, bytes.

Messages are Flower's protobuf; nothing is pickled.
"""

import struct
from collections.abc import Callable
from typing import IO

from flwr.app import Message
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.message_pb2 import Message as ProtoMessage

from atoll.errors import FederationError

CONTEXT, MESSAGE, REPLY, PROGRESS = b"C", b"M", b"R", b"P"
_TAGS = (CONTEXT, MESSAGE, REPLY, PROGRESS)
_HEADER = struct.Struct(">cQ")
_LIMIT = 4 << 30


def write_frame(stream: IO[bytes], tag: bytes, payload: bytes) -> int:
    """Write one frame; returns its payload's length."""
    stream.write(_HEADER.pack(tag, len(payload)))
    stream.write(payload)
    stream.flush()
    return len(payload)


def read_frame(stream: IO[bytes]) -> tuple[bytes, bytes] | None:
    """Read one frame; ``None`` at the end of the stream.

    Raises:
        FederationError: what came is no frame.
    """
    header = _exactly(stream.read, _HEADER.size)
    if header is None:
        return None
    tag, length = _HEADER.unpack(header)
    if tag not in _TAGS or length > _LIMIT:
        raise FederationError(f"what came is no frame (it starts with {header!r})")
    payload = _exactly(stream.read, length)
    return None if payload is None else (tag, payload)


def _exactly(read: Callable[[int], bytes | None], length: int) -> bytes | None:
    parts: list[bytes] = []
    missing = length
    while missing:
        part = read(missing)
        if not part:
            return None
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def encode(message: Message) -> bytes:
    """A Flower message as protobuf."""
    return bytes(message_to_proto(message).SerializeToString())


def decode(data: bytes) -> Message:
    """A Flower message from protobuf.

    Raises:
        FederationError: the bytes are no message.
    """
    proto = ProtoMessage()
    try:
        proto.ParseFromString(data)
        return message_from_proto(proto)
    except Exception as error:  # protobuf's and Flower's own, of many kinds
        raise FederationError(f"what came is no Flower message: {error}") from error
