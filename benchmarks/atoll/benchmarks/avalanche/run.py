"""How a strategy is trained and measured on a stream."""

from dataclasses import dataclass

from atoll.benchmarks.avalanche.budget import Budget
from atoll.benchmarks.avalanche.contexts import ContextStream, Part


@dataclass(frozen=True, kw_only=True)
class Run:
    """How a strategy is trained and measured.

    Attributes:
        stream: What arrives.
        budget: For every context.
        seed: Of the order of samples and of whatever a strategy draws.
        device: Of the model.
        chunk: Samples of an online stream's chunk, each seen once; 0 for whole contexts under ``budget.steps``. The
            budget's steps and batch are then those of strategies that train on a memory alone.
        test: What is evaluated; ``validation`` for tuning.
    """

    stream: ContextStream
    budget: Budget
    seed: int
    device: str = "cpu"
    chunk: int = 0
    test: Part = "test"
