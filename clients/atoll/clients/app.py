"""The Flower ``ClientApp``: the same in the embedded engine, in simulation and at an institution's SuperNode."""

from pathlib import Path

from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

from atoll.clients.node import Node, open_node
from atoll.clients.work import evaluate, train_expert
from atoll.federation.blobs import unpack_blobs
from atoll.federation.progress import report_progress
from atoll.federation.units import Announcement, EvaluateUnit, TrainUnit, Unit

app = ClientApp()


@app.query()
def announce(message: Message, context: Context) -> Message:
    """Say who is here; this checks the data and tokenizes it, so bad data is known before any training begins."""
    node = _node(context)
    counts = node.text.counts
    said = Announcement(
        owner=node.config.owner,
        domain=node.config.domain,
        licence=node.config.licence,
        public_key=node.key.public.hex,
        anchor=node.anchor.digest,
        parameters=node.anchor.parameters,
        documents={split: count.documents for split, count in counts.items()},
        tokens={split: count.tokens for split, count in counts.items()},
        characters={split: count.characters for split, count in counts.items()},
        held=sorted(node.blobs.digests()),
    )
    return _reply(message, said)


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train an expert; its package goes back."""
    node = _node(context)
    reply, package = train_expert(node, TrainUnit.from_json(_unit(message)), _report(node, "train"))
    answer = _reply(message, reply)
    answer.content["blobs"] = ConfigRecord({reply.blob: package.read_bytes()})
    return answer


@app.evaluate()
def evaluate_models(message: Message, context: Context) -> Message:
    """Evaluate models; only losses and routing shares go back."""
    node = _node(context)
    if "blobs" in message.content:
        unpack_blobs(message.content.config_records["blobs"], node.blobs)
    unit = EvaluateUnit.from_json(_unit(message))
    return _reply(message, evaluate(node, unit, _report(node, "evaluate")))


def _node(context: Context) -> Node:
    return open_node(Path(str(context.node_config["folder"])))


def _unit(message: Message) -> str:
    return str(message.content.config_records["unit"]["json"])


def _reply(message: Message, said: Unit) -> Message:
    return Message(RecordDict({"unit": ConfigRecord({"json": said.to_json()})}), reply_to=message)


def _report(node: Node, unit: str):  # type: ignore[no-untyped-def]
    def report(done: int, total: int, note: str) -> None:
        report_progress(done, total, note, unit)

    return report
