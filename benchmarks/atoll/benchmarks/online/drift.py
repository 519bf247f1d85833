"""The study ``drift``: one learner over one stream, scored before it learns from each sample."""

import pickle
import resource
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, final

import numpy as np
import torch

from atoll.benchmarks.online.learner import GROUP, Learner, OnlineClassifier
from atoll.benchmarks.online.prequential import prequential
from atoll.benchmarks.online.scores import after_drifts, curves, most_frequent, no_change, scores
from atoll.benchmarks.online.streams import Stream, read_stream
from atoll.benchmarks.online.timeline import draw_timeline
from atoll.benchmarks.suites.figure import Figures, higher, lower
from atoll.benchmarks.suites.outcome import PEAK_MEMORY, SECONDS, Outcome
from atoll.benchmarks.suites.study import Study, Work
from atoll.errors import ConfigError
from atoll.plugins import build, load, names

_TELL = 500


@final
@dataclass(frozen=True, kw_only=True)
class Drifting(Study):
    """A stream, and how learners on it are scored.

    Figures: ``accuracy``, ``kappa``, ``kappa_m`` and ``kappa_temporal`` over the whole stream, the same as curves over
    windows; where it is known when concepts change, ``accuracy_after_drifts``, over one window after each; and
    ``cpu_seconds`` and ``model_bytes``, the learner's pickled size at the end.

    Attributes:
        stream: By name; see :data:`atoll.benchmarks.online.streams.STREAMS`.
        length: Samples, at most.
        window: Samples to a point of the curves.
        delay: Samples between one and its label.
    """

    name: ClassVar[str] = "drift"
    stream: str = "sea-abrupt"
    length: int = 20_000
    window: int = 500
    delay: int = 0

    def methods(self) -> Mapping[str, str]:
        """All registered learners."""
        return {name: load(GROUP, name).about for name in names(GROUP)}

    def figures(self) -> Figures:
        """Accuracy and kappas, and what a learner costs."""
        return Figures(
            metrics=(
                *higher("accuracy", "kappa", "kappa_m", "kappa_temporal", "accuracy_after_drifts"),
                *lower("cpu_seconds", "model_bytes"),
            )
        )

    def run(self, work: Work) -> Outcome:
        """One learner over the stream that the seed draws; a stream with a fixed order changes with no seed.

        Raises:
            ConfigError: a stream, a window or options that cannot be.
            PluginError: no such learner.
        """
        learner: Learner = build(GROUP, work.method.name, work.method.options)
        stream = read_stream(self.stream, self.length, work.seed)
        total = len(stream.samples)
        if not 1 <= self.window <= total:
            raise ConfigError(f"drift: window is {self.window}; it must be between 1 and the stream's {total} samples")
        torch.manual_seed(work.seed)
        running = learner.start(stream.facts, work.seed, torch.device(work.device))

        def tell(done: int) -> None:
            if done % _TELL == 0:
                work.tell(done, total, self.stream)

        wall, processor = time.perf_counter(), time.process_time()
        answers = prequential(running, stream, self.delay, tell)
        costs = {SECONDS: time.perf_counter() - wall, PEAK_MEMORY: _peak()}
        spent = {"cpu_seconds": time.process_time() - processor, "model_bytes": _size(running)}
        truth = np.array(stream.labels)
        found = scores(truth, answers, most_frequent(truth), no_change(truth))
        if stream.drifts:
            found["accuracy_after_drifts"] = after_drifts(truth, answers, stream.drifts, self.window)
        return Outcome(metrics=found | spent, curves=curves(truth, answers, self.window), costs=costs)

    def pictures(self, seed: int, folder: Path) -> Mapping[str, Path]:
        """The stream's concepts over time, where there are such."""
        stream: Stream = read_stream(self.stream, self.length, seed)
        if not stream.drifts:
            return {}
        return {f"Concepts of {self.stream}": draw_timeline(stream, folder / f"{self.stream}-concepts.png")}


def _size(running: OnlineClassifier) -> float:
    return float(len(pickle.dumps(running)))


def _peak() -> float:
    """Bytes; the kernel counts kibibytes, macOS bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
