"""What some of Avalanche's strategies need beside options: plug-ins and models of their own."""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from atoll.benchmarks.avalanche.run import Run

Prepared = tuple[list[Any], dict[str, Any]]
"""Plug-ins, and keyword arguments of the strategy."""


def prepared(name: str, options: dict[str, Any], run: Run) -> Prepared:
    """The plug-ins and arguments of the baseline of that name; options are its arguments where nothing else is said."""
    make = _OWN.get(name)
    return ([], options) if make is None else make(options, run)


def _path_integral(options: dict[str, Any], run: Run) -> Prepared:
    from atoll.benchmarks.avalanche.plugins import PathIntegral

    return [PathIntegral(**options)], {}


def _rehearsal(options: dict[str, Any], run: Run) -> Prepared:
    """``Replay`` is ``Naive`` with this plug-in; its default memory holds as much of every experience, which is too
    little where experiences are many small chunks.
    """
    from avalanche.training.plugins import ReplayPlugin
    from avalanche.training.storage_policy import ReservoirSamplingBuffer

    policy = ReservoirSamplingBuffer(options["mem_size"]) if run.chunk else None
    return [ReplayPlugin(options["mem_size"], storage_policy=policy)], {}


def _generator(options: dict[str, Any], run: Run) -> Prepared:
    """Avalanche's default is made for 28 × 28 pixels and trains by epochs."""
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
    return [], {"generator_strategy": trained}


_OWN: Mapping[str, Callable[[dict[str, Any], Run], Prepared]] = {
    "si": _path_integral,
    "er": _rehearsal,
    "generative-replay": _generator,
}
