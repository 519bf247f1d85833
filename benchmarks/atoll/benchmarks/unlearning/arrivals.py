"""The row `co-adapted`: an owner leaves a stream in which others were trained beside it, as ``atoll run`` does it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from atoll.benchmarks.unlearning.comparison import mean_loss, named
from atoll.benchmarks.unlearning.models import EXPERT, ROUTER, Models, training
from atoll.benchmarks.unlearning.silos import LEAVES
from atoll.coordinator.config import DescriptorConfig, EvaluationConfig, RunConfig, SiloConfig
from atoll.coordinator.stream.config import RefitConfig, StreamConfig
from atoll.coordinator.stream.run import execute_stream
from atoll.errors import DataError
from atoll.experts.arrival_config import ArrivalConfig
from atoll.federation.node_config import ReplayTerms
from atoll.privacy.audit_config import AuditConfig
from atoll.privacy.unlearning_config import UnlearningConfig

_REPLAYED = 32
"""Samples of an arrival: a text is drawn token by token, which is most of an arrival's time on a CPU."""
_REFIT = 20


def stream(models: Models, folder: Path, config: UnlearningConfig) -> RunConfig:
    """Who leaves came first, so that everyone else's expert was trained beside its own, on replay of its domain."""
    stages = [[LEAVES], *([owner] for owner in models.others)]
    silos = [
        SiloConfig(
            name=owner,
            domain=node.config.domain,
            data=node.config.data,
            replay=ReplayTerms(tell="counts", smallest=1.0),  # public text; the silos are too small for noise
        )
        for owner, node in models.nodes.items()
    ]
    return RunConfig(
        title="An owner leaves a stream",
        output=str(folder.absolute()),
        anchor=models.nodes[LEAVES].config.anchor,
        seed=models.seed,
        silos=silos,
        expert=replace(EXPERT, coordinated=False),
        training=training(models.steps),
        descriptor=DescriptorConfig(counted=0),
        router=ROUTER,
        evaluation=EvaluationConfig(windows=0, batch=8, baselines={}),
        withdraw=LEAVES,
        unlearning=config,
        stream=StreamConfig(
            stages=stages,
            metric="loss",
            arrival=ArrivalConfig(budget=_REPLAYED),
            refit=RefitConfig(steps=_REFIT, budget=_REPLAYED, batch=8),
            audit=AuditConfig(samples=0),
            rebuild=True,
        ),
    )


def co_adapted(models: Models, folder: Path, config: UnlearningConfig) -> dict[str, float]:
    """Figures of the release after the exit; retrained is the stream that was done anew without the owner.

    Raises:
        DataError: the owner could not measure its exit.
    """
    outcome = execute_stream(stream(models, folder, config), command="atoll bench run unlearning")
    gone = outcome.results.withdrawal
    if gone is None or not gone.unlearning:
        raise DataError(f"the stream in {folder} has no scorecard of its exit; its workers' logs say why")
    found = named(gone.unlearning)
    states: dict[str, Mapping[str, Mapping[str, float]]] = {
        "": gone.after,
        "before/": gone.before,
        "retrained/": gone.rebuilt,
    }
    for where, figures in states.items():
        losses = {owner: by["loss"] for owner, by in figures.items()}
        found[f"{where}others_loss"] = mean_loss(losses, models.others)
    return found
