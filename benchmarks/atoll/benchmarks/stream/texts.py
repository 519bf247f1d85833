"""Suite ``text``: the demo's four silos and two more, arriving one by one."""

import inspect
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from atoll.anchors import cache_root
from atoll.coordinator.config import EvaluationConfig, RunConfig, SiloConfig
from atoll.coordinator.stream.config import StreamConfig
from atoll.demo.silos import write_silos
from atoll.experts.arrival_config import ArrivalConfig
from atoll.experts.files import write_atomic
from atoll.experts.training import TrainingConfig
from atoll.federation.units import Choice
from atoll.privacy.audit_config import AuditConfig
from atoll.workloads.text import TextConfig

BASELINES = ("joint", "sequential", "ewc", "lwf", "generative-replay", "fedavg")
_REPLAYED = 128
"""Samples of an arrival: a text is drawn token by token, which is most of an arrival's time on a CPU."""
_SHORTEST = 300
_MOST = 2_000_000
"""Characters of a document at least, and of a silo at most."""


def texts(seed: int, *, steps: int, split: str) -> RunConfig:
    """The stream in which an institution arrives at every stage.

    Args:
        seed: Of training.
        steps: Optimizer steps of an arrival, for Atoll and for every baseline.
        split: What is measured.
    """
    silos = [
        SiloConfig(name=one.name, domain=one.domain, data=TextConfig(**{**one.text_config(), **_SPLIT}))  # type: ignore[arg-type]
        for one in write_silos(cache_root() / "demo")
    ]
    silos += [
        SiloConfig(name="laboratory", domain="manuals of scientific programs", data=_kept("laboratory", _docstrings)),
        SiloConfig(name="school", domain="the language reference of Python", data=_kept("school", _topics)),
    ]
    budget = StreamConfig().budget
    stream = StreamConfig(
        stages=[[silo.name] for silo in silos],
        arrival=ArrivalConfig(budget=_REPLAYED),
        audit=AuditConfig(samples=0),  # python -m atoll.benchmarks.privacy.audit is about that
        budget=replace(budget, steps=steps, batch=8, learning_rate=1e-3, replay=_REPLAYED),
    )
    return RunConfig(
        title="Six institutions arrive",
        anchor="atoll-3m",
        seed=seed,
        silos=silos,
        training=TrainingConfig(steps=steps, batch=8, learning_rate=8e-3, evaluate_every=20, patience=0),
        evaluation=EvaluationConfig(split=split, windows=32, batch=8, baselines={}),
        stream=replace(stream, refit=replace(stream.refit, steps=0)),
    )


_SPLIT: dict[str, object] = {"sequence_length": 128}


def _kept(name: str, read: Callable[[], Iterator[str]]) -> TextConfig:
    """A silo's documents as JSON lines, written once."""
    path: Path = cache_root() / "stream-texts" / f"{name}.jsonl"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, "".join(json.dumps({"text": text}) + "\n" for text in _limited(read())).encode())
    return TextConfig(paths=[str(path)], format="jsonl", **_SPLIT)  # type: ignore[arg-type]


def _limited(texts: Iterator[str]) -> Iterator[str]:
    """Distinct texts of some length, until there is enough."""
    seen: set[str] = set()
    size = 0
    for text in texts:
        if len(text) >= _SHORTEST and text not in seen and size < _MOST:
            seen.add(text)
            size += len(text)
            yield text


def _docstrings() -> Iterator[str]:
    """Of what the scientific packages export."""
    import matplotlib.axes
    import numpy
    import pandas
    import torch

    for module in (numpy, numpy.linalg, numpy.random, pandas.DataFrame, pandas, torch, torch.nn, matplotlib.axes.Axes):
        for name in sorted(dir(module)):
            found: Any = getattr(module, name, None)
            text = inspect.getdoc(found) if callable(found) else None
            if text:
                yield text


def _topics() -> Iterator[str]:
    """Of the running Python's manual."""
    from pydoc_data.topics import topics

    for name in sorted(topics):
        text = topics[name]
        for start in range(0, len(text), 2000):
            yield text[start : start + 2000]


def _arrival(**values: Any) -> Callable[[RunConfig], RunConfig]:
    def change(config: RunConfig) -> RunConfig:
        return replace(config, stream=replace(config.stream, arrival=replace(config.stream.arrival, **values)))

    return change


def _with_baselines(config: RunConfig) -> RunConfig:
    return replace(config, stream=replace(config.stream, baselines=[Choice(name=name) for name in BASELINES]))


VARIANTS: dict[str, Callable[[RunConfig], RunConfig]] = {
    "atoll": _with_baselines,
    "no distillation": _arrival(distillation="none"),
    "no replay": _arrival(replay=False),
}
"""The stream with all baselines, then its ablations."""
