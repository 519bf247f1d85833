"""A silo of a deployment on this machine: one process that answers its SuperNode's messages by a ``ClientApp``."""

import argparse
import json
import os
import threading
import time
import traceback
from pathlib import Path

import httpx
from flwr.app import Context, Error, Message, RecordDict
from flwr.common.constant import ErrorCode

from atoll.errors.explain import explained
from atoll.federation.flower.process import end_with_parent
from atoll.federation.flower.tasks import serve_tasks
from atoll.federation.virtual import load_client_app


def main() -> None:
    """Serve until the parent is gone."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("client-app", "address", "secret", "context"):
        parser.add_argument(f"--{name}", required=True)
    args = parser.parse_args()
    end_with_parent()
    said = json.loads(args.context)
    os.chdir(said.pop("folder"))
    context, app = Context(run_id=1, state=RecordDict(), **said), load_client_app(args.client_app)

    def handle(message: Message) -> Message:
        try:
            return app(message, context)
        except Exception as error:
            traceback.print_exc()
            reason = str(explained(error) or f"{type(error).__name__}: {error}")
            return Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, reason), reply_to=message)

    while True:
        try:
            serve_tasks(args.address, Path(args.secret), handle, threading.Event(), pause=0.02)
        except httpx.TransportError:  # the SuperNode has not opened its port yet
            time.sleep(0.1)


if __name__ == "__main__":
    main()
