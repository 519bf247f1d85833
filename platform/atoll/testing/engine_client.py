"""The ``ClientApp`` that engines are tested with; it says where it ran, how often, and what it was given."""

import time

from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


@app.query()
def query(message: Message, context: Context) -> Message:
    """Do what the message says."""
    wanted = message.content.config_records["do"]
    memory = context.state.config_records.setdefault("memory", ConfigRecord({"times": 0}))
    memory["times"] = int(str(memory["times"])) + 1
    if wanted["what"] == "raise":
        raise ZeroDivisionError("one by nought")
    if wanted["what"] == "sleep":
        time.sleep(float(str(wanted["seconds"])))
    said = ConfigRecord({"node": str(context.node_id), "times": memory["times"], "payload": wanted["payload"]})
    return Message(RecordDict({"said": said}), reply_to=message)
