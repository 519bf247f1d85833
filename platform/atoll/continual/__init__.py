"""Continual learning over a stream of silos, measured: what was learned, kept, passed on and lost."""

from atoll.continual.matrix import StreamMatrix
from atoll.continual.measures import (
    AccumulatedError,
    accumulated_error,
    average_final,
    average_incremental,
    backward_transfer,
    by_silo,
    forgetting_first,
    forgetting_max,
    forward_transfer,
    intransigence,
    share_of_joint,
)
from atoll.continual.spread import Spread, paired_difference, paired_probability, spread, spread_of
from atoll.continual.summary import Summary, over_stages, summarize
from atoll.continual.tensor import StreamTensor

__all__ = [
    "AccumulatedError",
    "Spread",
    "StreamMatrix",
    "StreamTensor",
    "Summary",
    "accumulated_error",
    "average_final",
    "average_incremental",
    "backward_transfer",
    "by_silo",
    "forgetting_first",
    "forgetting_max",
    "forward_transfer",
    "intransigence",
    "over_stages",
    "paired_difference",
    "paired_probability",
    "share_of_joint",
    "spread",
    "spread_of",
    "summarize",
]
