"""From a silo's configuration to its city and trajectories."""

import numpy as np
from numpy.typing import NDArray

from atoll.workloads.excluded import Excluded
from atoll.workloads.files import find_files
from atoll.workloads.mobility.city import City, read_locations
from atoll.workloads.mobility.config import MobilityConfig
from atoll.workloads.mobility.generator import generate, make_city
from atoll.workloads.mobility.grid import gridded
from atoll.workloads.mobility.lines import read_trajectories
from atoll.workloads.mobility.measures import measured
from atoll.workloads.mobility.table import read_positions
from atoll.workloads.mobility.trajectories import Trajectories
from atoll.workloads.paths import user_path
from atoll.workloads.reading import Tally


def read_silo(
    config: MobilityConfig, excluded: Excluded | None = None, tally: Tally | None = None
) -> tuple[City, Trajectories]:
    """The city and all trajectories that the configuration names, none longer than ``sequence_length``.

    Args:
        config: Where they are.
        excluded: Users who are passed over; where the city is made of positions, also there.
        tally: Counts what is met.

    Raises:
        ConfigError: a value that makes no sense, or a path that does not exist.
        DataError: a file that cannot be read, or a bad value in it.
    """
    config.check()
    tally = tally or Tally(config.on_error)
    if config.format == "table":
        positions = read_positions(find_files(config.paths, "mobility"), config.table, tally)
        if excluded is not None and excluded.digests:
            positions = positions.select(~held_users(positions.user, excluded))
        city, trajectories = gridded(positions, config.table, config.city or "city")
    elif config.format == "generated":
        city = read_city(config) if config.locations else make_city(config.generator, config.city or "city")
        trajectories = generate(config.generator, city)
    else:
        city = read_city(config)
        trajectories = read_trajectories(find_files(config.paths, "mobility"), city, tally)
        if config.quantities == "measured":
            trajectories = measured(trajectories, city)
    if excluded is not None and excluded.digests:
        trajectories = trajectories.select(~held_users(trajectories.user, excluded))
    return city, trajectories.cut(config.sequence_length)


def held_users(user: NDArray[np.int64], excluded: Excluded) -> NDArray[np.bool_]:
    """Which of these users [M] are on the list, bool [M]."""
    users, place = np.unique(user, return_inverse=True)
    held: NDArray[np.bool_] = np.array([excluded.holds(content) for content in user_contents(users)], dtype=np.bool_)
    return held[place]


def user_contents(users: NDArray[np.int64]) -> list[bytes]:
    """What identifies users: their numbers, which are made of their names alone."""
    return [str(number).encode() for number in users.tolist()]


def read_city(config: MobilityConfig) -> City:
    """The city of ``config.locations``.

    Raises:
        DataError: the file cannot be read, or a bad value in it.
    """
    path = user_path(config.locations)
    return read_locations(path, config.city or path.stem, config.scale_km, cell_km=config.cell_km or None)
