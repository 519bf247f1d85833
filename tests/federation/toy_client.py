"""A ``ClientApp`` that does as it is told, for the engine's tests; it runs in the workers."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

from atoll.errors import DataError
from atoll.federation.progress import report_progress

app = ClientApp()


@app.query()
def query(message: Message, context: Context) -> Message:
    """Do what the message says, and tell what came of it."""
    wanted = message.content.config_records["do"]
    what, value = str(wanted["what"]), str(wanted.get("value", ""))
    said: dict[str, Any] = {
        "pid": os.getpid(),
        "threads": os.environ["OMP_NUM_THREADS"],
        "folder": str(context.node_config["folder"]),
    }
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "exit":
        os._exit(3)
    if what == "raise":
        raise DataError(f"cannot read {value}")
    if what == "crash":
        raise ZeroDivisionError("one by nought")
    if what == "rubbish":
        print("noise on the output", flush=True)
    if what == "sleep":
        time.sleep(float(value))
    if what == "read":
        try:
            said["read"] = Path(value).read_text(encoding="utf-8")
        except PermissionError as error:
            said["refused"] = str(error)
    if what == "list":
        try:
            said["read"] = " ".join(sorted(os.listdir(value)))
        except PermissionError as error:
            said["refused"] = str(error)
    if what == "work":
        began = time.time()
        for step in range(3):
            report_progress(step + 1, 3, "working", "train")
            time.sleep(0.1)
        said |= {"began": began, "ended": time.time()}
    if what == "echo":
        said["size"] = len(value)
        sys.stdout.write(value[:10])
    return Message(RecordDict({"said": ConfigRecord(said)}), reply_to=message)
