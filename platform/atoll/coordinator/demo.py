"""The demo's configuration: a hospital, a law firm, a library and a software house."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from atoll.anchors.cache import cache_root
from atoll.coordinator.config import EngineConfig, EvaluationConfig, RunConfig, SiloConfig
from atoll.demo.silos import DemoSilo, write_silos
from atoll.experts.training import ExpertConfig, TrainingConfig
from atoll.privacy.unlearning_config import UnlearningConfig
from atoll.workloads.text import TextConfig

WITHDRAWS = "library"
_PROMPT = "And it came to pass in the days of the king, that the"


def demo_config(
    folder: Path, *, quick: bool, anchor: str, seed: int, progress: Callable[[str], None] | None = None
) -> RunConfig:
    """The demo for one anchor; the silos' text is written on first use.

    Args:
        folder: The run folder.
        quick: Less text, fewer steps.
        anchor: Name or path.
        seed: Of everything random.
        progress: Told one line a silo.

    Raises:
        DataError: a package with text is missing; the message has the command.
    """
    silos = write_silos(cache_root() / "demo", scale=1.0, progress=progress)
    config = RunConfig(
        title="Four institutions, one mixture",
        output=str(folder),
        anchor=anchor,
        seed=seed,
        silos=[_silo(silo, 256) for silo in silos],
        withdraw=WITHDRAWS,
        prompt=_PROMPT,
    )
    if anchor == "smollm2":
        return _large(config, silos, quick=quick)
    return _small(config, quick=quick)


def _small(config: RunConfig, *, quick: bool) -> RunConfig:
    steps, windows, documents = (16, 8, 100) if quick else (120, 48, 400)
    return replace(
        config,
        expert=ExpertConfig(kind="ffn"),
        training=TrainingConfig(
            steps=steps, learning_rate=8e-3, evaluate_every=steps // (2 if quick else 3), validation_windows=16
        ),
        descriptor=replace(config.descriptor, documents=documents),
        evaluation=EvaluationConfig(windows=windows),
    )


def _large(config: RunConfig, silos: tuple[DemoSilo, ...], *, quick: bool) -> RunConfig:
    """A pretrained model of 135 million parameters: experts in the last layers, short windows, few documents."""
    steps, windows = (6, 4) if quick else (40, 8)
    return replace(
        config,
        silos=[_silo(silo, 128) for silo in silos],
        expert=ExpertConfig(kind="lora", last_layers=6, rank=16, alpha=32.0),
        training=TrainingConfig(
            steps=steps, batch=4, learning_rate=1e-3, warmup=4, evaluate_every=max(3, steps // 3), validation_windows=8
        ),
        descriptor=replace(config.descriptor, documents=32),
        evaluation=EvaluationConfig(windows=windows, batch=4),
        unlearning=UnlearningConfig(documents=8),
        engine=EngineConfig(threads=1),
    )


def _silo(silo: DemoSilo, length: int) -> SiloConfig:
    data: dict[str, Any] = {**silo.text_config(), "sequence_length": length}
    return SiloConfig(name=silo.name, domain=silo.domain, data=TextConfig(**data), licence=silo.licence)
