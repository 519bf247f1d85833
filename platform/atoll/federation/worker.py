"""A silo's worker process: loads the ``ClientApp``, answers messages one at a time, ends when its input does."""

import argparse
import json
import logging
import os
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import BinaryIO

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode

from atoll.errors.explain import explained
from atoll.federation.confine import confine
from atoll.federation.progress import LISTENER, Progress
from atoll.federation.virtual import load_client_app
from atoll.federation.wire import CONTEXT, MESSAGE, PROGRESS, REPLY, decode, encode, read_frame, write_frame


def main() -> None:
    """Serve until the engine closes our input."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--client-app", required=True, help="module:attribute")
    parser.add_argument("--folder", type=Path, required=True, help="the silo's folder")
    args = parser.parse_args()
    _end_with(os.getppid())
    requests, replies = _take_pipes(args.folder / "worker.log")
    first = read_frame(requests)
    if first is None or first[0] != CONTEXT:
        sys.exit("the engine went away before it said what to do")
    said = json.loads(first[1])
    confine(said.pop("own"), said.pop("others"))
    context = Context(state=RecordDict(), **said)
    _serve(args.client_app, context, requests, replies)


def _end_with(parent: int) -> None:
    """End at once when the engine is gone, even in the middle of a training: its successor will start another worker
    in this folder.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _take_pipes(log: Path) -> tuple[BinaryIO, BinaryIO]:
    """Our input and output are the engine's; whatever anyone prints goes to the silo's log."""
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(written, 1)
    os.dup2(written, 2)
    # What reading the data found is of the level INFO, and nobody but the owner has this file.
    logging.getLogger("atoll").setLevel(logging.INFO)
    logging.getLogger("atoll").addHandler(logging.StreamHandler())
    return requests, replies


def _serve(client_app: str, context: Context, requests: BinaryIO, replies: BinaryIO) -> None:
    def tell(progress: Progress) -> None:
        write_frame(replies, PROGRESS, progress.to_bytes())

    LISTENER.set(tell)
    app: ClientApp | None = None
    while (frame := read_frame(requests)) is not None:
        if frame[0] != MESSAGE:
            sys.exit(f"a frame {frame[0]!r} came where a message was due")
        message = decode(frame[1])
        try:
            app = app or load_client_app(client_app)
            reply = app(message, context)
        except Exception as error:
            traceback.print_exc()
            reply = Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, _reason(error)), reply_to=message)
        write_frame(replies, REPLY, encode(reply))


def _reason(error: Exception) -> str:
    """Our own messages are for people as they are; of others the kind is needed too. The traceback stays in the
    silo's log.
    """
    return str(explained(error) or f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
