"""One of Avalanche's strategies on a stream, evaluated before any training and after every context."""

import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from atoll.benchmarks.avalanche.baselines import Baseline, baseline
from atoll.benchmarks.avalanche.export import as_benchmark, chunks
from atoll.benchmarks.avalanche.importing import avalanche
from atoll.benchmarks.avalanche.prepared import prepared
from atoll.benchmarks.avalanche.results import stream_matrix
from atoll.benchmarks.avalanche.run import Run
from atoll.continual import StreamMatrix
from atoll.federation.units import Choice

_EVALUATED = 512
"""Samples in one forward pass where nothing is trained."""


def run_baseline(
    choice: Choice,
    model: nn.Module,
    run: Run,
    *,
    metrics: Sequence[Any] = (),
    loggers: Sequence[Any] = (),
    tell: Callable[[int, int, str], None] = lambda done, total, note: None,
) -> tuple[StreamMatrix, list[dict[str, Any]]]:
    """Train a strategy on a stream.

    Args:
        choice: Its name in :data:`~atoll.benchmarks.avalanche.baselines.BASELINES`, and options.
        model: From a batch of inputs to logits [B, classes], with its initial weights; trained in place, but for
            strategies that make models of their own.
        run: On what, for how long.
        metrics: Of Avalanche's, computed beside accuracy.
        loggers: Of Avalanche's.
        tell: Told of every context.

    Returns:
        The accuracy ``R[stage, context]``; and what Avalanche said after every evaluation, the first from before any
        training. Of joint training the stages between are empty.

    Raises:
        ConfigError: of the choice; Avalanche is not installed.
    """
    known, _ = baseline(choice, run.stream.scenario, run.chunk > 0)
    avalanche()
    # The strategies draw from the global generators of Python, NumPy and torch.
    from avalanche.training.determinism.rng_manager import RNGManager

    RNGManager.set_random_seeds(run.seed)
    torch.manual_seed(run.seed)
    with _quiet():
        bench = as_benchmark(run.stream, run.test)
        strategy = _strategy(choice, model, run, metrics, loggers)
        found = [_evaluated(strategy, bench)]
        for done, experiences in enumerate(_stages(known, bench, run), 1):
            for experience in experiences:
                strategy.train(experience, eval_streams=[])
            tell(done, len(run.stream.contexts), run.stream.names[done - 1])
            found.append(_evaluated(strategy, bench) if experiences else {})
    return stream_matrix(found, run.stream.names), found


def _stages(known: Baseline, bench: Any, run: Run) -> Iterator[list[Any]]:
    """What is trained on at each stage, one after the other."""
    if known.joint:
        yield from [[]] * (len(run.stream.contexts) - 1)
        yield [bench.train_stream]
        return
    for place, experience in enumerate(bench.train_stream):
        cut = run.chunk and known.online == "chunks"
        yield list(chunks([experience], run.chunk, run.seed + place)) if cut else [experience]


def _strategy(choice: Choice, model: nn.Module, run: Run, metrics: Sequence[Any], loggers: Sequence[Any]) -> Any:
    from avalanche import training
    from avalanche.evaluation.metrics import accuracy_metrics
    from avalanche.training.plugins import EvaluationPlugin

    from atoll.benchmarks.avalanche.plugins import StopAfter, ToldContexts

    known, options = baseline(choice, run.stream.scenario, run.chunk > 0)
    plugins, given = prepared(choice.name, options, run)
    told = run.stream.scenario == "task"
    whole = (ToldContexts(model, run.stream.allowed()) if told else model).to(run.device)
    batch, epochs, steps = _pace(known, run)
    return getattr(training, known.strategy)(
        model=whole,
        optimizer=run.budget.make(whole.parameters()),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=batch,
        train_epochs=epochs,
        eval_mb_size=_EVALUATED,
        device=torch.device(run.device),
        plugins=[*plugins, StopAfter(steps)],
        evaluator=EvaluationPlugin(accuracy_metrics(experience=True), *metrics, loggers=list(loggers)),
        **given,
    )


def _pace(known: Baseline, run: Run) -> tuple[int, int, int]:
    """Samples of a batch, and epochs and steps of an experience at most."""
    if run.chunk and known.online == "chunks":
        return run.chunk, 1, 1
    if run.chunk and known.online == "contexts":
        return run.chunk, 1, sys.maxsize
    steps = run.budget.steps * (len(run.stream.contexts) if known.joint else 1)
    # An epoch has at least one step.
    return run.budget.batch, steps, steps


def _evaluated(strategy: Any, bench: Any) -> dict[str, Any]:
    return dict(strategy.eval(bench.test_stream))


@contextmanager
def _quiet() -> Iterator[None]:
    """Avalanche warns of its own deprecations, whatever filters say, and where nothing is logged."""
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("ignore")
        yield
