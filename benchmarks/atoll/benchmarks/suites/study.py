"""The extension point ``Study``: what is done in one cell of a suite, for one family of suites."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from atoll.benchmarks.suites.figure import Figures
from atoll.benchmarks.suites.outcome import Outcome
from atoll.federation.units import Choice

GROUP = "atoll.studies"
"""Entry points of studies."""

Tell = Callable[[int, int, str], None]
"""Told how much of a cell is done, of how much, and a note."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What a cell is to do, beside the study's own settings.

    Attributes:
        method: By name, with its options.
        seed: Of everything random.
        folder: The cell's own; what is kept in it lets a killed cell go on.
        device: ``cpu``, ``cuda`` or another of torch's.
        tell: Progress.
    """

    method: Choice
    seed: int
    folder: Path
    device: str = "cpu"
    tell: Tell = lambda done, total, note: None


class Study(ABC):
    """A family of suites as a value: a frozen dataclass, whose fields are the settings of a suite's YAML file.

    What the settings and the work say decides the outcome; nothing else does, so that a finished cell stands for good.

    Attributes:
        name: As registered.
    """

    name: ClassVar[str]

    @abstractmethod
    def methods(self) -> Mapping[str, str]:
        """Names of the methods that it can run, with a line about each."""

    def figures(self) -> Figures | None:
        """What outcomes report, and which way each is better; ``None`` for a study that does not say.

        What it says is held against every outcome, and suites are held against it before anything runs. Of a study that
        does not say, a suite's metric is looked for when the first cells have ended.
        """
        return None

    @abstractmethod
    def run(self, work: Work) -> Outcome:
        """One method with one seed.

        Raises:
            AtollError: it cannot be run; says why.
        """

    def pictures(self, seed: int, folder: Path) -> Mapping[str, Path]:
        """Draw what all methods share, such as who holds which data; titles and PNG files. None by default."""
        return {}
