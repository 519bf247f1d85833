"""The work unit: a fixed number of SGD steps of a small model on synthetic data, the same on every engine."""

import time

import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from torch import nn

CLIENT_APP = "atoll.benchmarks.federation.client:app"
_WIDTH, _HIDDEN, _CLASSES, _BATCH = 128, 1024, 128, 64
app = ClientApp()


def toy_model(seed: int) -> nn.Module:
    """Of about one megabyte."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(_WIDTH, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, _CLASSES))


def work_unit(seed: int, steps: int) -> RecordDict:
    """What a silo is sent: a model and how to train it."""
    arrays = ArrayRecord(toy_model(seed).state_dict())
    return RecordDict({"arrays": arrays, "config": ConfigRecord({"seed": seed, "steps": steps})})


def work_seconds(reply: Message) -> float:
    """How long the silo was at it: from the message in its hands to the reply in its hands."""
    assert not reply.has_error(), reply.error.reason
    return float(str(reply.content.metric_records["metrics"]["seconds"]))


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train, and say how long it took."""
    began = time.perf_counter()
    torch.set_num_threads(1)
    config = message.content.config_records["config"]
    seed, steps = int(str(config["seed"])), int(str(config["steps"]))
    model = toy_model(seed)
    model.load_state_dict(message.content.array_records["arrays"].to_torch_state_dict())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    draw = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        inputs = torch.randn(_BATCH, _WIDTH, generator=draw)
        labels = torch.randint(_CLASSES, (_BATCH,), generator=draw)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), labels).backward()
        optimizer.step()
    arrays = ArrayRecord(model.state_dict())
    metrics = MetricRecord({"num-examples": 1, "seconds": time.perf_counter() - began})
    return Message(RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=message)
