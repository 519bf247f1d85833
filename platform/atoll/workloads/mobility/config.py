"""What trajectories to read, and how to split them."""

import difflib
import math
from dataclasses import dataclass, field

from atoll.errors import ConfigError
from atoll.workloads.data import DataConfig
from atoll.workloads.mobility.city import CELL_KM, SCALE_KM
from atoll.workloads.mobility.generator_config import GeneratorConfig
from atoll.workloads.mobility.table_config import TableConfig
from atoll.workloads.mobility.trajectories import LONGEST
from atoll.workloads.reading import check_on_error

FORMATS = ("movegcl", "table", "generated")
QUANTITIES = ("measured", "given")


@dataclass(frozen=True, kw_only=True)
class MobilityConfig(DataConfig):
    """A silo's trajectories, in one city.

    Attributes:
        workload: ``mobility``.
        city: What the city is called; the name of the file of locations, without its suffix, if empty.
        format: ``movegcl`` (trajectory lines beside an array of locations), ``table`` (Parquet or CSV of positions,
            which are gridded) or ``generated``.
        paths: Files, folders (read with their subfolders, hidden files left out) or globs; none where generated.
        locations: The array of locations as MoveGCL publishes it, ``.npy``. Needed for ``movegcl``; where trajectories
            are ``generated``, a city is made if it is empty.
        scale_km: Kilometres of one unit of a standardised coordinate, where locations do not lie on a grid.
        cell_km: Edge of a cell where they do; 0 always goes by ``scale_km``.
        quantities: Of published lines: jumps, radii and entropies ``measured`` on the locations, in km and nats as
            everywhere else, or as ``given``, where they are numbers of classes.
        table: How a table of positions becomes a city and trajectories.
        generator: What generated people, and a made city, are like.
        on_error: A row or line that cannot be read is an error once all are read (``refuse``, which names ten and
            counts all), or left out and counted (``skip``).
        validation: Share of the users kept for validation, in [0, 1).
        test: Share of the users kept for the test, in [0, 1).
        salt: Changes which users fall in which split.
        sequence_length: The most visits of a trajectory; longer ones are cut into several.
    """

    workload: str = "mobility"
    city: str = ""
    format: str = "movegcl"
    paths: list[str] = field(default_factory=list)
    locations: str = ""
    scale_km: float = SCALE_KM
    cell_km: float = CELL_KM
    quantities: str = "measured"
    table: TableConfig = field(default_factory=TableConfig)
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    validation: float = 0.1
    test: float = 0.1
    salt: str = ""
    sequence_length: int = LONGEST
    on_error: str = "refuse"

    def check(self) -> None:
        """Check the values by themselves, without looking at any file.

        Raises:
            ConfigError: the first value that makes no sense.
        """
        one_of("format", self.format, FORMATS)
        check_on_error(self.on_error, "mobility")
        one_of("quantities", self.quantities, QUANTITIES)
        if self.format == "generated":
            if self.paths:
                raise ConfigError("mobility: paths are named, but format=generated reads none; remove them")
        elif not self.paths:
            raise ConfigError("mobility: paths is empty; name at least one file, folder or glob")
        if self.format == "movegcl" and not self.locations:
            raise ConfigError("mobility: locations is empty; name the city's .npy array of location features")
        if self.format == "table" and self.locations:
            raise ConfigError(
                "mobility: locations is named, but format=table makes its own from the positions; remove it, or name a "
                "table of public places as table.locations"
            )
        _positive("scale_km", self.scale_km)
        if self.cell_km:
            _positive("cell_km", self.cell_km)
        self._check_split()
        if not 2 <= self.sequence_length <= LONGEST:
            raise ConfigError(
                f"mobility: sequence_length={self.sequence_length} must be from 2, a visit and its next, to {LONGEST}"
            )
        self.table.check()
        self.generator.check()

    def _check_split(self) -> None:
        for name, share in (("validation", self.validation), ("test", self.test)):
            if not math.isfinite(share) or not 0 <= share < 1:
                raise ConfigError(f"mobility: {name}={share} is not a share in [0, 1)")
        if self.validation + self.test >= 1:
            raise ConfigError(
                f"mobility: validation={self.validation} and test={self.test} leave nothing to train on; "
                "their sum must be less than 1"
            )


def one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    """Check a value that has a fixed choice.

    Raises:
        ConfigError: it is none of them.
    """
    if value not in known:
        close = difflib.get_close_matches(value, known, n=1)
        hint = f"did you mean '{close[0]}'? " if close else ""
        raise ConfigError(f"mobility: {name}='{value}' is unknown: {hint}there are {', '.join(known)}")


def _positive(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise ConfigError(f"mobility: {name}={value} must be a positive number of kilometres")
