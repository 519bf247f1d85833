"""Study ``federation``: any stream of arriving silos, by the configuration that ``atoll run`` takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, final

from atoll.benchmarks.arrivals.cell import known_methods, run_cell
from atoll.benchmarks.suites.figure import Figures, workload_streams
from atoll.benchmarks.suites.outcome import Outcome
from atoll.benchmarks.suites.study import Study, Work
from atoll.config import read_config
from atoll.coordinator.config import RunConfig
from atoll.errors import ConfigError


@final
@dataclass(frozen=True)
class Federation(Study):
    """One's own silos.

    Attributes:
        config: The file.

    Raises:
        ConfigError: no file is named.
    """

    name: ClassVar[str] = "federation"
    config: str = ""

    def __post_init__(self) -> None:
        if not self.config:
            raise ConfigError("study 'federation': settings.config must name the file that `atoll run` takes")

    def methods(self) -> Mapping[str, str]:
        """Atoll and all baselines."""
        return known_methods()

    def figures(self) -> Figures:
        """Whatever the workload of the silos measures."""
        return workload_streams()

    def run(self, work: Work) -> Outcome:
        """As the file says, with the cell's seed."""
        config = read_config(RunConfig, Path(self.config), [])
        if not config.stream.on:
            raise ConfigError(f"{self.config}: stream.stages is empty: say in which order the silos arrive")
        return run_cell(config, work)
