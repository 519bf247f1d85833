"""Tables of positions: who was where, and when. And of points of interest.

Shapes: N positions, Q points of interest.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import tzinfo
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from atoll.errors import DataError
from atoll.workloads.mobility.columns import Bools, Rows, castable, read_rows
from atoll.workloads.mobility.features import POIS
from atoll.workloads.mobility.table_config import TableConfig, zone
from atoll.workloads.mobility.times import times_of
from atoll.workloads.reading import Tally
from atoll.workloads.tables import trimmed

Ints = NDArray[np.int64]
Doubles = NDArray[np.float64]

_NO_TIME = (
    "time is no timestamp, ISO 8601 text or seconds since 1970, from 1970 up to the year 3000; milliseconds must be "
    "divided by 1000 first"
)


@dataclass(frozen=True, eq=False)
class Positions:
    """The rows of tables, by column.

    Attributes:
        user: int64 [N], a number made from the user's name alone: the same in every file and at every reading.
        time: int64 [N], seconds since 1970 in UTC.
        local: int64 [N], the same on the clocks of the time zone.
        latitude: float64 [N], degrees.
        longitude: float64 [N], degrees.
    """

    user: Ints
    time: Ints
    local: Ints
    latitude: Doubles
    longitude: Doubles

    def __len__(self) -> int:
        return len(self.user)

    def select(self, chosen: NDArray[np.bool_]) -> "Positions":
        """Some of them, by a bool [N]."""
        return Positions(*(getattr(self, column.name)[chosen] for column in fields(self)))


def user_number(name: str) -> int:
    """A user's number, made of the name alone."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big") >> 1


def read_positions(paths: Iterable[str | Path], config: TableConfig, tally: Tally | None = None) -> Positions:
    """The positions in these Parquet or CSV files, in order; rows need not be sorted.

    Args:
        paths: The files.
        config: What the columns are called.
        tally: Counts what is met.

    Raises:
        ConfigError: pyarrow is not installed, or the time zone is unknown.
        DataError: a file that cannot be read, no row at all, or rows with bad values.
    """
    files = [Path(path) for path in paths]
    names = (config.user, config.time, config.latitude, config.longitude)
    local = zone(config.time_zone)
    known: dict[str, int] = {}
    tally = tally or Tally()
    parts = [_part(rows, known, local) for path in files for rows in read_rows(path, names, tally)]
    tally.close()
    if not any(len(part[0]) for part in parts):
        raise DataError("\n  ".join([f"mobility: no row in {', '.join(map(str, files))}", *tally.report().named]))
    return Positions(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def read_points(path: str | Path, config: TableConfig) -> tuple[Doubles, Doubles, Ints]:
    """Latitude, longitude and category of points of interest, each [Q].

    Raises:
        ConfigError: pyarrow is not installed.
        DataError: a file that cannot be read, or rows with bad values.
    """
    parts: list[tuple[Doubles, ...]] = []
    tally = Tally()
    for rows in read_rows(Path(path), (config.latitude, config.longitude, "category"), tally):
        latitude, longitude, checks = _degrees(rows, 0)
        category, fits = rows.within(2, 0, POIS - 1)
        fits &= category == np.round(category)
        good = rows.good([(fits, f"category is no whole number from 0 to {POIS - 1}"), *checks])
        parts.append((latitude[good], longitude[good], category[good]))
    tally.close()
    if not parts:
        return np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.int64)
    latitudes, longitudes, categories = zip(*parts, strict=True)
    return np.concatenate(latitudes), np.concatenate(longitudes), np.concatenate(categories).astype(np.int64)


def read_places(path: str | Path, config: TableConfig) -> tuple[Doubles, Doubles]:
    """Latitude and longitude of public places, each [Q].

    Raises:
        ConfigError: pyarrow is not installed.
        DataError: a file that cannot be read, no row, or rows with bad values.
    """
    parts: list[tuple[Doubles, Doubles]] = []
    tally = Tally()
    for rows in read_rows(Path(path), (config.latitude, config.longitude), tally):
        latitude, longitude, checks = _degrees(rows, 0)
        good = rows.good(checks)
        parts.append((latitude[good], longitude[good]))
    tally.close()
    if not parts:
        raise DataError(f"mobility: no row in {path}")
    latitudes, longitudes = zip(*parts, strict=True)
    return np.concatenate(latitudes), np.concatenate(longitudes)


def _part(rows: Rows, known: dict[str, int], local: tzinfo | None) -> tuple[NDArray[np.generic], ...]:
    """The columns of :class:`Positions`, of the rows that can be used."""
    user, named = _users(rows, known)
    time, clock, timed = times_of(rows, 1, local)
    latitude, longitude, checks = _degrees(rows, 2)
    good = rows.good([(named, "user is empty"), (timed, _NO_TIME), *checks])
    return user[good], time[good], clock[good], latitude[good], longitude[good]


def _users(rows: Rows, known: dict[str, int]) -> tuple[Ints, Bools]:
    """Names of users as numbers, and where there is one; ``known`` keeps those that were met."""
    import pyarrow as pa
    from pyarrow import compute

    column = trimmed(rows.columns[0])
    if not castable(column, pa.string()):
        raise DataError(f"{rows.path}: row {rows.numbers[0]}: user is nothing that can be written as text")
    encoded = compute.cast(column, pa.string()).dictionary_encode()
    names, codes = encoded.dictionary.to_pylist(), encoded.indices.to_numpy(zero_copy_only=False)
    for name in names:
        if name not in known:
            known[name] = user_number(name)
    numbers: Ints = np.array([known[name] for name in names], dtype=np.int64)[codes]
    return numbers, np.array([name != "" for name in names], dtype=np.bool_)[codes]


def _degrees(rows: Rows, column: int) -> tuple[Doubles, Doubles, list[tuple[Bools, str]]]:
    """Latitude and longitude, in two columns from this one, and what must hold of them."""
    latitude, north = rows.within(column, -90, 90)
    longitude, east = rows.within(column + 1, -180, 180)
    return (
        latitude,
        longitude,
        [
            (north, "latitude is no number of degrees from -90 to 90"),
            (east, "longitude is no number of degrees from -180 to 180"),
        ],
    )
