"""The node's side of the queue: take messages from the SuperNode, and answer them."""

import contextlib
import logging
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
from flwr.app import Error, Message
from flwr.common.constant import ErrorCode, SubStatus
from flwr.proto.runtime_pb2 import AcquireTaskRequest
from flwr.supercore.constant import TaskType
from flwr.supercore.interceptors import (
    RuntimeTokenHttpInterceptor,
    RuntimeVersionHttpInterceptor,
    SuperExecAuthHttpInterceptor,
)
from flwr.supercore.protobuf.client import ProtobufClientInterceptor
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supernode.runtime.run_clientapp import pull_task_input, push_message, push_task_output

log = logging.getLogger(__name__)
_AT_ONCE = 8
"""Messages that are answered at once, at most."""
ACQUIRE = "/flwr.proto.Runtime/AcquireTask"


def runtime_client(
    address: str, *extra: ProtobufClientInterceptor, insecure: bool, ca: bytes | None = None
) -> RuntimeHttpClient:
    """A client of the runtime API of a SuperLink or a SuperNode."""
    return RuntimeHttpClient.from_server_address(
        address, insecure, ca, [RuntimeVersionHttpInterceptor(component_name="atoll"), *extra]
    )


def serve_tasks(
    address: str,
    secret: Path,
    handle: Callable[[Message], Message],
    stop: threading.Event,
    *,
    until: Callable[[], bool] = lambda: False,
    pause: float = 0.1,
) -> None:
    """Answer messages until told to stop, or until the SuperNode is gone.

    Args:
        address: Of the SuperNode on this machine.
        secret: The file that it shares with us.
        handle: Makes the reply. What it raises is answered as an error that names the kind only.
        stop: Set to end.
        until: Asked between messages; ends this too.
        pause: Seconds between questions for work.

    Raises:
        httpx.HTTPError: the SuperNode does not answer.
    """
    free = threading.BoundedSemaphore(_AT_ONCE)
    signer = SuperExecAuthHttpInterceptor(master_secret=secret.read_bytes(), protected_methods={ACQUIRE})
    with contextlib.closing(runtime_client(address, signer, insecure=True)) as client:
        while not stop.is_set() and not until():
            answer = client.AcquireTask(AcquireTaskRequest(supported_task_types=[TaskType.CLIENT_APP]))
            if answer.HasField("task") and answer.token:
                # In a thread of its own: one answer may wait, and others must not wait for it.
                free.acquire()
                threading.Thread(target=_serve_one, args=(address, answer.token, handle, free), daemon=True).start()
            else:
                stop.wait(pause)


def _serve_one(
    address: str, token: str, handle: Callable[[Message], Message], free: threading.BoundedSemaphore
) -> None:
    try:
        _serve(address, token, handle)
    except httpx.HTTPError as error:
        log.info("an answer did not reach the SuperNode: %s", error)  # the loop finds out whether it is gone
    finally:
        free.release()


def _serve(address: str, token: str, handle: Callable[[Message], Message]) -> None:
    with contextlib.closing(runtime_client(address, RuntimeTokenHttpInterceptor(token), insecure=True)) as client:
        # What Flower would run is the bundle that comes along; it is dropped here.
        message, context, _, _ = pull_task_input(client)
        try:
            reply = handle(message)
        except Exception as error:
            log.exception("a message could not be answered")
            reason = f"{type(error).__name__}; the node's own log has the details"
            reply = Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, reason), reply_to=message)
        push_message(client, reply, context)
        push_task_output(client, context, SubStatus.COMPLETED, "")
