"""One of Avalanche's strategies on a stream, evaluated before any training and after every context."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from atoll.benchmarks.avalanche.baselines import Baseline, baseline
from atoll.benchmarks.avalanche.budget import Budget
from atoll.benchmarks.avalanche.contexts import ContextStream, Part
from atoll.benchmarks.avalanche.export import as_benchmark, chunks
from atoll.benchmarks.avalanche.importing import avalanche
from atoll.benchmarks.avalanche.results import stream_matrix
from atoll.continual import StreamMatrix
from atoll.federation.units import Choice

_EVALUATED = 512
"""Samples in one forward pass where nothing is trained."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """How a strategy is trained and measured.

    Attributes:
        stream: What arrives.
        budget: For every context.
        seed: Of the order of samples and of whatever a strategy draws.
        device: Of the model.
        chunk: Samples of an online stream's chunk, each seen once; 0 for whole contexts under ``budget.steps``.
        test: What is evaluated; ``validation`` for tuning.
    """

    stream: ContextStream
    budget: Budget
    seed: int
    device: str = "cpu"
    chunk: int = 0
    test: Part = "test"


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
    known, options = baseline(choice, run.stream.scenario, run.chunk > 0)
    avalanche()
    # The strategies draw from the global generators of Python, NumPy and torch.
    from avalanche.training.determinism.rng_manager import RNGManager

    RNGManager.set_random_seeds(run.seed)
    torch.manual_seed(run.seed)
    with _quiet():
        bench = as_benchmark(run.stream, run.test)
        strategy = _strategy(known, options, model, run, metrics, loggers)
        found = [_evaluated(strategy, bench)]
        for done, experiences in enumerate(_stages(known, bench, run), 1):
            if experiences is not None:
                strategy.train(experiences, eval_streams=[])
            tell(done, len(run.stream.contexts), run.stream.names[done - 1])
            found.append({} if experiences is None else _evaluated(strategy, bench))
    return stream_matrix(found, run.stream.names), found


def _stages(known: Baseline, bench: Any, run: Run) -> Iterator[Any]:
    """What is trained on at each stage; ``None`` for nothing."""
    if known.joint:
        yield from [None] * (len(run.stream.contexts) - 1)
        yield bench.train_stream
        return
    for place, experience in enumerate(bench.train_stream):
        yield chunks([experience], run.chunk, run.seed + place) if run.chunk else experience


def _strategy(
    known: Baseline,
    options: dict[str, Any],
    model: nn.Module,
    run: Run,
    metrics: Sequence[Any],
    loggers: Sequence[Any],
) -> Any:
    from avalanche import training
    from avalanche.evaluation.metrics import accuracy_metrics
    from avalanche.training.plugins import EvaluationPlugin

    from atoll.benchmarks.avalanche.plugins import PathIntegral, StopAfter, ToldContexts

    told = run.stream.scenario == "task"
    whole = (ToldContexts(model, run.stream.allowed()) if told else model).to(run.device)
    steps = 1 if run.chunk else run.budget.steps * (len(run.stream.contexts) if known.joint else 1)
    plugins: list[Any] = [StopAfter(steps)]
    if known.strategy == "GenerativeReplay":
        options = _generator(options, run)
    elif "damping" in options:
        plugins, options = [*plugins, PathIntegral(**options)], {}
    return getattr(training, known.strategy)(
        model=whole,
        optimizer=run.budget.make(whole.parameters()),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=run.chunk or run.budget.batch,
        # An epoch has at least one step.
        train_epochs=steps,
        eval_mb_size=_EVALUATED,
        device=torch.device(run.device),
        plugins=plugins,
        evaluator=EvaluationPlugin(accuracy_metrics(experience=True), *metrics, loggers=list(loggers)),
        **options,
    )


def _generator(options: dict[str, Any], run: Run) -> dict[str, Any]:
    """Avalanche's own default is made for 28 × 28 pixels and trains by epochs."""
    from avalanche.models.generator import MlpVAE, VAE_loss
    from avalanche.training import VAETraining
    from avalanche.training.plugins import EvaluationPlugin, GenerativeReplayPlugin

    from atoll.benchmarks.avalanche.plugins import StopAfter

    model = MlpVAE(run.stream.shape, nhid=options["latent"], device=run.device)
    trained = VAETraining(
        model=model,
        optimizer=run.budget.make(model.parameters()),
        criterion=VAE_loss,
        train_mb_size=run.budget.batch,
        train_epochs=run.budget.steps,
        device=torch.device(run.device),
        plugins=[GenerativeReplayPlugin(), StopAfter(run.budget.steps)],
        evaluator=EvaluationPlugin(),
    )
    return {"generator_strategy": trained}


def _evaluated(strategy: Any, bench: Any) -> dict[str, Any]:
    return dict(strategy.eval(bench.test_stream))


@contextmanager
def _quiet() -> Iterator[None]:
    """Avalanche warns of its own deprecations, whatever filters say, and where nothing is logged."""
    with warnings.catch_warnings(record=True):
        yield
