"""Tables of positions: who was where, and when. And of points of interest.

Shapes: N positions, Q points of interest.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import UTC, datetime, tzinfo
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from atoll.errors import DataError
from atoll.workloads.mobility.columns import Rows, castable, read_rows
from atoll.workloads.mobility.features import POIS
from atoll.workloads.mobility.table_config import TableConfig, zone
from atoll.workloads.tables import is_text, trimmed

Ints = NDArray[np.int64]
Doubles = NDArray[np.float64]

_SLOT = 1800
_LATEST = 32_503_680_000
"""Seconds from 1970 to the year 3000; what is later is given in another unit."""
_NO_TIME = "time is no timestamp, ISO 8601 text or seconds since 1970"


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


def read_positions(paths: Iterable[str | Path], config: TableConfig) -> Positions:
    """The positions in these Parquet or CSV files, in order; rows need not be sorted.

    Raises:
        ConfigError: pyarrow is not installed, or the time zone is unknown.
        DataError: a file that cannot be read, no row at all, or the first row with a bad value.
    """
    files = [Path(path) for path in paths]
    names = (config.user, config.time, config.latitude, config.longitude)
    local = zone(config.time_zone)
    known: dict[str, int] = {}
    parts = [
        (_users(rows, known), *_times(rows, local), *_degrees(rows, 2))
        for path in files
        for rows in read_rows(path, names)
    ]
    if not parts:
        raise DataError(f"mobility: no row in {', '.join(map(str, files))}")
    return Positions(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def read_points(path: str | Path, config: TableConfig) -> tuple[Doubles, Doubles, Ints]:
    """Latitude, longitude and category of points of interest, each [Q].

    Raises:
        ConfigError: pyarrow is not installed.
        DataError: a file that cannot be read, or the first row with a bad value.
    """
    parts = []
    for rows in read_rows(Path(path), (config.latitude, config.longitude, "category")):
        wrong = f"category is no whole number from 0 to {POIS - 1}"
        category = rows.numbers(2, 0, POIS - 1, wrong)
        rows.require(category == np.round(category), wrong)
        parts.append((*_degrees(rows, 0), category.astype(np.int64)))
    if not parts:
        return np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.int64)
    latitudes, longitudes, categories = zip(*parts, strict=True)
    return np.concatenate(latitudes), np.concatenate(longitudes), np.concatenate(categories)


def read_places(path: str | Path, config: TableConfig) -> tuple[Doubles, Doubles]:
    """Latitude and longitude of public places, each [Q].

    Raises:
        ConfigError: pyarrow is not installed.
        DataError: a file that cannot be read, no row, or the first row with a bad value.
    """
    parts = [_degrees(rows, 0) for rows in read_rows(Path(path), (config.latitude, config.longitude))]
    if not parts:
        raise DataError(f"mobility: no row in {path}")
    latitudes, longitudes = zip(*parts, strict=True)
    return np.concatenate(latitudes), np.concatenate(longitudes)


def _users(rows: Rows, known: dict[str, int]) -> Ints:
    """Names of users as numbers; ``known`` keeps those that were met."""
    import pyarrow as pa

    encoded = rows.converted(0, pa.string(), "user is nothing that can be written as text").dictionary_encode()
    names, codes = encoded.dictionary.to_pylist(), encoded.indices.to_numpy(zero_copy_only=False)
    if "" in names:
        rows.require(codes != names.index(""), "user is empty")
    for name in names:
        if name not in known:
            known[name] = user_number(name)
    numbers: Ints = np.array([known[name] for name in names], dtype=np.int64)[codes]
    return numbers


def _degrees(rows: Rows, column: int) -> tuple[Doubles, Doubles]:
    """Latitude and longitude, in two columns from this one."""
    return (
        rows.numbers(column, -90, 90, "latitude is no number of degrees from -90 to 90"),
        rows.numbers(column + 1, -180, 180, "longitude is no number of degrees from -180 to 180"),
    )


def _times(rows: Rows, local: tzinfo | None) -> tuple[Ints, Ints]:
    """Seconds since 1970 in UTC, and on the local clocks."""
    import pyarrow as pa

    column = rows.columns[1]
    plain, aware = pa.timestamp("us"), pa.timestamp("us", "UTC")
    form = column.type
    if is_text(form):
        first = trimmed(column[:1])
        form = next((kind for kind in (pa.float64(), plain, aware) if castable(first, kind)), plain)
    if not pa.types.is_timestamp(form):
        wrong = f"{_NO_TIME} up to the year 3000; milliseconds must be divided by 1000 first"
        seconds = rows.numbers(1, 0, _LATEST, wrong).astype(np.int64)
        return seconds, seconds + _ahead(seconds, local)
    written = form.tz is None
    moments = rows.converted(1, plain if written else aware, f"{_NO_TIME}, written as in the rows before")
    seconds = moments.cast(pa.int64()).to_numpy(zero_copy_only=False) // 1_000_000
    rows.require((seconds >= 0) & (seconds <= _LATEST), "time is before 1970 or after the year 3000")
    if written:
        return seconds - _ahead(seconds, local, written=True), seconds
    return seconds, seconds + _ahead(seconds, local)


def _ahead(seconds: Ints, local: tzinfo | None, *, written: bool = False) -> Ints:
    """How many seconds local clocks were ahead of UTC, at times in UTC, or at times that the clocks showed."""
    if local is None:
        return np.zeros_like(seconds)
    # Clocks change at whole half-hours, so that one look-up for each is enough.
    slots, place = np.unique(seconds // _SLOT, return_inverse=True)
    offsets = np.empty(len(slots), dtype=np.int64)
    for index, slot in enumerate((slots * _SLOT).tolist()):
        moment = datetime.fromtimestamp(slot, UTC)
        moment = moment.replace(tzinfo=local) if written else moment.astimezone(local)
        offset = moment.utcoffset()
        offsets[index] = 0 if offset is None else int(offset.total_seconds())
    return offsets[place]
