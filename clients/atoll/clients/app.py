"""The Flower ``ClientApp``: the same in the embedded engine, in simulation and at an institution's SuperNode."""

import logging
from collections.abc import Callable
from pathlib import Path

from flwr.app import ConfigRecord, Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.clientapp.typing import ClientAppCallable
from flwr.common.constant import ErrorCode

from atoll.clients.audit.exit import measure_exit
from atoll.clients.gate.failure_codes import INTERNAL, code_of
from atoll.clients.gate.statements import Statements
from atoll.clients.measuring.records import MeasureOrder, RecordsQuestion
from atoll.clients.measuring.worker import list_records, measure_records
from atoll.clients.node import Node, open_node
from atoll.clients.training.limits import NO_LIMITS, TrainLimits
from atoll.clients.work import evaluate, plan_training, train_expert
from atoll.errors import AtollError, ConfigError, FederationError
from atoll.federation.blobs import BlobStore, unpack_blobs
from atoll.federation.exit_unit import ExitUnit
from atoll.federation.progress import report_progress
from atoll.federation.units import ConsentReply, ConsentRequest, EvaluateUnit, TrainReply, TrainUnit, Unit

log = logging.getLogger(__name__)
app = ClientApp()


def answer_for_errors(message: Message, context: Context, work: ClientAppCallable) -> Message:
    """A Flower mod: what goes wrong is answered, so that the node stays there for the next message.

    Our own messages are for people and name no text. Others may quote what they choked on, which must not leave: only
    their kind does, and the rest is in the node's log.
    """
    try:
        return work(message, context)
    except AtollError as error:
        reason = str(error)
        if "outgoing" in context.node_config:
            reason = f"{code_of(error)}: {reason}"  # the node's gate lets the code out, and nothing else
    except Exception as error:
        log.exception("%s failed", message.metadata.message_type)
        reason = f"{type(error).__name__}; the node's own log has the details"
        if "outgoing" in context.node_config:
            reason = f"{code_of(error) if isinstance(error, OSError) else INTERNAL}: {reason}"
    return Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, reason), reply_to=message)


@app.query(mods=[answer_for_errors])
def announce(message: Message, context: Context) -> Message:
    """Say who is here; this checks the data and tokenizes it, so bad data is known before any training begins."""
    node = _node(context)
    said = node.announcement()
    return _reply(message, said)


@app.query("consent", mods=[answer_for_errors])
def state_consent(message: Message, context: Context) -> Message:
    """Sign what a silo permits, in a run of one's own silos."""
    if "outgoing" in context.node_config:
        raise ConfigError("at an institution only the owner itself states what it permits")
    node, wanted = _node(context), ConsentRequest.from_json(_unit(message))
    statements = Statements(node.folder / "statements", node.config.owner, node.key)
    made, _ = statements.say(
        expert=wanted.expert, purposes=wanted.purposes, until=wanted.until, words=wanted.words, new=not wanted.expert
    )
    return _reply(message, ConsentReply(statement=made.to_line()))


@app.query("plan", mods=[answer_for_errors])
def plan(message: Message, context: Context) -> Message:
    """Say what a training would rest on. It is for the node's own gate, and nobody else is told."""
    if "outgoing" not in context.node_config:
        raise FederationError("what a training rests on is told to the node's own gate alone")
    return _reply(message, plan_training(_node(context), TrainUnit.from_json(_unit(message)), _limits(message)))


@app.train(mods=[answer_for_errors])
def train(message: Message, context: Context) -> Message:
    """Train an expert; its package goes back."""
    node = _node(context)
    if "blobs" in message.content:
        unpack_blobs(message.content.config_records["blobs"], node.blobs)
    unit = TrainUnit.from_json(_unit(message))
    if missing := [blob for blob in unit.needs if not node.blobs.has(blob)]:
        return _reply(message, TrainReply(missing=missing))
    reply, package = train_expert(node, unit, _report("train"), _limits(message))
    answer = _reply(message, reply)
    if "outgoing" in context.node_config:  # the node's gate looks at it there, and hands it on piece by piece
        BlobStore(Path(str(context.node_config["outgoing"]))).adopt(package)
    else:
        answer.content["blobs"] = ConfigRecord({reply.blob: package.read_bytes()})
    return answer


@app.evaluate(mods=[answer_for_errors])
def evaluate_models(message: Message, context: Context) -> Message:
    """Evaluate models; only losses and routing shares go back."""
    node = _node(context)
    if "blobs" in message.content:
        unpack_blobs(message.content.config_records["blobs"], node.blobs)
    if "outgoing" in context.node_config:  # the node's gate makes figures of the records, and only those leave
        return _reply(message, measure_records(node, MeasureOrder.from_json(_unit(message)), _report("evaluate")))
    unit = EvaluateUnit.from_json(_unit(message))
    return _reply(message, evaluate(node, unit, _report("evaluate")))


@app.query("records", mods=[answer_for_errors])
def records(message: Message, context: Context) -> Message:
    """List the records of a split, for the node's own gate."""
    if "outgoing" not in context.node_config:
        raise FederationError("records are listed for a node's gate only")
    return _reply(message, list_records(_node(context), RecordsQuestion.from_json(_unit(message))))


@app.evaluate("exit", mods=[answer_for_errors])
def score_exit(message: Message, context: Context) -> Message:
    """Measure what an exit left, in a run of one's own silos; only the scorecard's figures go back."""
    if "outgoing" in context.node_config:
        raise ConfigError("at an institution the owner itself measures its exit: atoll node scorecard")
    node = _node(context)
    if "blobs" in message.content:
        unpack_blobs(message.content.config_records["blobs"], node.blobs)
    unit = ExitUnit.from_json(_unit(message))
    return _reply(message, measure_exit(node, unit, _report("evaluate")))


def _node(context: Context) -> Node:
    return open_node(Path(str(context.node_config["folder"])))


def _unit(message: Message) -> str:
    return str(message.content.config_records["unit"]["json"])


def _limits(message: Message) -> TrainLimits:
    """What the node's gate asks of a training; nothing where there is no gate."""
    records = message.content.config_records
    return TrainLimits.from_json(str(records["limits"]["json"])) if "limits" in records else NO_LIMITS


def _reply(message: Message, said: Unit) -> Message:
    return Message(RecordDict({"unit": ConfigRecord({"json": said.to_json()})}), reply_to=message)


def _report(unit: str) -> Callable[[int, int, str], None]:
    def report(done: int, total: int, note: str) -> None:
        report_progress(done, total, note, unit)

    return report
