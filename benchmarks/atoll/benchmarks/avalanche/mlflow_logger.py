"""A logger of Avalanche's that writes to MLflow: Avalanche 0.6.0 has none.

It needs Avalanche and MLflow, and nothing else of this project: the file may be copied. It imports Avalanche, and is to
be imported in functions only where that is to be avoided::

    client = MlflowClient("sqlite:///mlflow.db")
    run = client.create_run(client.create_experiment("streams"))
    logger = MlflowLogger(client, run.info.run_id)
    evaluator = EvaluationPlugin(accuracy_metrics(experience=True, stream=True), loggers=[logger])
"""

import math
import re
from typing import Any, final

from avalanche.logging import BaseLogger
from mlflow import MlflowClient

_REFUSED = re.compile(r"[^\w./ :-]", re.ASCII)
_LONGEST = 250


@final
class MlflowLogger(BaseLogger):  # type: ignore[misc]
    """Logs every metric that is one finite number to a run, under Avalanche's name for it and at its step.

    Confusion matrices, images and the like, and values that are not finite, are left out. The run stays open: whoever
    made it ends it.

    Attributes:
        client: Of the tracking server.
        run: The run's id.
        prefix: Before every name, such as ``ewc/``.
    """

    def __init__(self, client: MlflowClient, run: str, prefix: str = "") -> None:
        super().__init__()
        self.client = client
        self.run = run
        self.prefix = prefix

    def log_single_metric(self, name: str, value: Any, x_plot: int) -> None:
        """One value of a metric.

        Args:
            name: Of it.
            value: Anything; only numbers are kept.
            x_plot: The step.
        """
        number = _number(value)
        if number is not None:
            self.client.log_metric(self.run, metric_key(self.prefix + name), number, step=int(x_plot))


def metric_key(name: str) -> str:
    """A name that MLflow takes: other characters become underscores, no part of the path is empty or begins with a
    dot, and of a name that is too long its end stays, which tells experiences apart.
    """
    parts = [part.lstrip(".") for part in _REFUSED.sub("_", name).split("/")]
    return "/".join(filter(None, parts))[-_LONGEST:].lstrip("/.") or "_"


def _number(value: Any) -> float | None:
    """A plain number, or a tensor or array of a single one."""
    if not isinstance(value, int | float):
        if not hasattr(value, "item") or math.prod(value.shape) != 1:
            return None
        value = value.item()
    found = float(value)
    return found if math.isfinite(found) else None
