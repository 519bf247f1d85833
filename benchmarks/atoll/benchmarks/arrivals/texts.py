"""Study ``texts``: six institutions with text arrive."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

from atoll.benchmarks.arrivals.cell import known_methods, run_cell
from atoll.benchmarks.stream.texts import texts
from atoll.benchmarks.suites.figure import Figures, workload_streams
from atoll.benchmarks.suites.outcome import Outcome
from atoll.benchmarks.suites.study import Study, Work


@final
@dataclass(frozen=True)
class Texts(Study):
    """The stream of :mod:`atoll.benchmarks.stream.texts`.

    Attributes:
        steps: Optimizer steps of an arrival, for every method.
        split: What is measured.
    """

    name: ClassVar[str] = "texts"
    steps: int = 60
    split: str = "test"

    def methods(self) -> Mapping[str, str]:
        """Atoll and all baselines."""
        return known_methods()

    def figures(self) -> Figures:
        """The loss."""
        return workload_streams(["text"])

    def run(self, work: Work) -> Outcome:
        """All six arrivals."""
        return run_cell(texts(work.seed, steps=self.steps, split=self.split), work)
