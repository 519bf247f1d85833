"""How a table of positions becomes a city and trajectories."""

import math
import zoneinfo
from dataclasses import dataclass

from atoll.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class TableConfig:
    """A table with one position a row.

    Attributes:
        user: Column that tells users apart; any type that can be written as text.
        time: Column of the time: a timestamp, text in any form of ISO 8601, or seconds since 1970 in UTC (a whole
            number is always seconds, never a date without marks).
        latitude: Column of the latitude in degrees.
        longitude: Column of the longitude in degrees.
        time_zone: Where the users live, as ``Europe/Lisbon``: days and slots are local. Times written without a zone
            are taken to be local already.
        cell_metres: Edge of a cell of the grid.
        least_users: How many users must have been in a cell for it to be a location (k-anonymity); other cells count
            as the nearest location.
        gap_hours: After so long without a position a new visit begins, even in the same cell.
        days: The most days of a trajectory, counted by the calendar.
        shortest: The fewest visits of a trajectory; shorter ones are left out.
        locations: A table of public places, such as the stops of a city or its points of interest, with the same
            columns of latitude and longitude: the cells that hold one are the locations, whoever was there, and
            positions count as the nearest. Without it the cells in which people were are the locations, and how popular
            they were is known of each; such a city is made of everybody's data, so it never leaves, and no private
            training is possible over it.
        points_of_interest: A table of points of interest with the same columns of latitude and longitude, and
            ``category``, a whole number from 0 to 33; counts are 0 without it.
    """

    user: str = "user"
    time: str = "time"
    latitude: str = "latitude"
    longitude: str = "longitude"
    time_zone: str = "UTC"
    cell_metres: float = 500.0
    least_users: int = 5
    gap_hours: float = 12.0
    days: int = 3
    shortest: int = 5
    locations: str = ""
    points_of_interest: str = ""

    def check(self) -> None:
        """Check the values by themselves.

        Raises:
            ConfigError: the first value that makes no sense.
        """
        columns = (self.user, self.time, self.latitude, self.longitude)
        if not all(columns) or len(set(columns)) < len(columns):
            raise ConfigError(
                f"mobility: table: user, time, latitude and longitude must name four columns, not {', '.join(columns)}"
            )
        if not 10 <= self.cell_metres <= 100_000:
            raise ConfigError(f"mobility: table: cell_metres={self.cell_metres} must be from 10 to 100000")
        for name, value, least in (
            ("least_users", self.least_users, 1),
            ("days", self.days, 1),
            ("shortest", self.shortest, 2),
        ):
            if value < least:
                raise ConfigError(f"mobility: table: {name}={value} must be at least {least}")
        if not 0 < self.gap_hours < math.inf:
            raise ConfigError(f"mobility: table: gap_hours={self.gap_hours} must be a positive number of hours")
        zone(self.time_zone)


def zone(name: str) -> zoneinfo.ZoneInfo | None:
    """The time zone of that name; None for UTC, which needs no database of zones.

    Raises:
        ConfigError: there is none.
    """
    if name == "UTC":
        return None
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(
            f"mobility: table: time_zone='{name}' is unknown here; use a name such as 'Europe/Lisbon' or 'UTC' "
            "(where all are unknown, install the package tzdata)"
        ) from error
