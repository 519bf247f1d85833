"""Study ``cities``: up to six cities arrive, real tables of locations under generated trajectories."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, final

from atoll.benchmarks.arrivals.cell import known_methods, run_cell
from atoll.benchmarks.stream.cities import cities
from atoll.benchmarks.suites.figure import Figures, workload_streams
from atoll.benchmarks.suites.outcome import Outcome
from atoll.benchmarks.suites.study import Study, Work


@final
@dataclass(frozen=True)
class Cities(Study):
    """The stream of :mod:`atoll.benchmarks.stream.cities`.

    Attributes:
        locations: Folder with ``NAME.npy`` for each city.
        users: People a city.
        days: Days of each.
        steps: Optimizer steps of an arrival, for every method.
        split: What is measured.
        cities: How many of the six, in their order.
    """

    name: ClassVar[str] = "cities"
    locations: str = "../shared/data/city-locations"
    users: int = 2000
    days: int = 9
    steps: int = 300
    split: str = "test"
    cities: int = 6

    def methods(self) -> Mapping[str, str]:
        """Atoll and all baselines."""
        return known_methods()

    def figures(self) -> Figures:
        """Loss, accuracies and mean reciprocal rank."""
        return workload_streams(["mobility"])

    def run(self, work: Work) -> Outcome:
        """All arrivals."""
        config = cities(
            Path(self.locations),
            work.seed,
            users=self.users,
            days=self.days,
            steps=self.steps,
            split=self.split,
            count=self.cities,
        )
        return run_cell(config, work)
