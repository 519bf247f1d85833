"""Times of positions: timestamps, seconds since 1970, or text in any form of ISO 8601.

Shapes: R rows.
"""

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atoll.workloads.mobility.columns import Bools, Rows, castable
from atoll.workloads.tables import is_text, trimmed

Ints = NDArray[np.int64]

LATEST = 32_503_680_000
"""Seconds from 1970 to the year 3000; what is later is given in another unit."""

_SLOT = 1800
_NONE = -1
"""Of what is no time; no time that is taken is negative."""
_SECOND = timedelta(seconds=1)
_FRACTION = re.compile(r"(?P<head>.*[Tt ]\d\d(?P<minutes>:?\d\d)?)[.,](?P<part>\d+)(?P<zone>[Zz]|[+-][\d:]+)?")
"""A fraction of an hour or a minute, which ISO 8601 allows where seconds are left out."""
_LEAP = re.compile(r"(?P<head>.*[Tt ]\d\d:?\d\d:?)60(?P<rest>.*)")


def times_of(rows: Rows, column: int, local: tzinfo | None) -> tuple[Ints, Ints, Bools]:
    """Seconds since 1970 in UTC, the same on the local clocks, and where there is a time at all, each [R].

    Text is a number of seconds, or ISO 8601: basic or extended, by day of the month, of the year or of the week, with
    or without an offset, with fractions of any length. What is written without an offset is local.
    """
    seconds, written = _read(trimmed(rows.columns[column]), rows, column)
    good = (seconds >= 0) & (seconds <= LATEST)
    held = np.where(good, seconds, 0)
    time, clock = held.copy(), held.copy()
    time[written] -= _ahead(held[written], local, written=True)
    clock[~written] += _ahead(held[~written], local)
    return time, clock, good


def _read(values: Any, rows: Rows, column: int) -> tuple[Ints, Bools]:
    """Seconds of each row, and whether they are those of local clocks."""
    import pyarrow as pa
    from pyarrow import compute

    form = values.type
    if is_text(form):
        kinds = (pa.float64(), pa.timestamp("us"), pa.timestamp("us", "UTC"))
        form = next((kind for kind in kinds if castable(values, kind)), None)
        if form is None:
            return _each(values)
    if not pa.types.is_timestamp(form):
        found = rows.floats(column)
        return np.where((found >= 0) & (found <= LATEST), found, _NONE).astype(np.int64), _all(values, False)
    moments = compute.cast(values, pa.timestamp("us", form.tz), safe=False)
    micros = compute.cast(moments, pa.int64()).to_numpy(zero_copy_only=False)
    return np.asarray(micros // 1_000_000, dtype=np.int64), _all(values, form.tz is None)


def _all(values: Any, written: bool) -> Bools:
    return np.full(len(values), written, dtype=np.bool_)


def _each(values: Any) -> tuple[Ints, Bools]:
    """Texts one by one, each only once."""
    encoded = values.dictionary_encode()
    known = [parse_time(text) for text in encoded.dictionary.to_pylist()]
    place = encoded.indices.to_numpy(zero_copy_only=False)
    seconds = np.array([_NONE if found is None else found[0] for found in known], dtype=np.int64)
    written = np.array([found is not None and found[1] for found in known], dtype=np.bool_)
    return seconds[place], written[place]


def parse_time(text: str) -> tuple[int, bool] | None:
    """Seconds since 1970, and whether they are those of local clocks; ``None`` for what is no time."""
    try:
        value = float("nan") if "_" in text else float(text)
    except ValueError:
        moment = _iso(text.replace("\N{MINUS SIGN}", "-"))
        if moment is None:
            return None
        written = moment.tzinfo is None
        return int((moment.replace(tzinfo=UTC) if written else moment).timestamp() // 1), written
    return (int(value), False) if 0 <= value <= LATEST else None


def _iso(text: str) -> datetime | None:
    from dateutil.parser import isoparse

    further = timedelta(0)
    if found := _LEAP.fullmatch(text):
        text, further = f"{found['head']}59{found['rest']}", _SECOND
    elif found := _FRACTION.fullmatch(text):
        unit = 60 if found["minutes"] else 3600
        text, further = found["head"] + (found["zone"] or ""), float(f"0.{found['part']}") * unit * _SECOND
    try:
        moment: datetime = isoparse(text)
        return moment + further
    except (ValueError, OverflowError):
        return None


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
