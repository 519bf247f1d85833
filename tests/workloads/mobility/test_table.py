import gzip
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from atoll.errors import ConfigError, DataError
from atoll.workloads import tables
from atoll.workloads.mobility.table import Positions, read_points, read_positions
from atoll.workloads.mobility.table_config import TableConfig

PLAIN = TableConfig()
LISBON = TableConfig(time_zone="Europe/Lisbon")
NOON = 1372679999
"""2013-07-01 11:59:59 in UTC, an hour later in Lisbon."""


def csv(folder: Path, text: str | bytes, name: str = "x.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def same(one: Positions, other: Positions) -> bool:
    names = ("user", "time", "local", "latitude", "longitude")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


def test_a_csv_file(tmp_path: Path) -> None:
    text = "longitude,extra,user,time,latitude\n-8.6,x,ana,1372679999,41.15\n-8.61, y,007, 0 ,41\n"
    found = read_positions([csv(tmp_path, text)], PLAIN)
    assert found.time.tolist() == found.local.tolist() == [NOON, 0]
    assert found.latitude.tolist() == [41.15, 41]
    assert found.longitude.tolist() == [-8.6, -8.61]
    assert len(set(found.user.tolist())) == 2
    assert found.user.min() >= 0


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("x.csv", lambda text: text.replace("\n", "\r\n")),
        ("x.csv.gz", lambda text: gzip.compress(text.encode())),
        ("x.tsv", lambda text: text.replace(",", "\t")),
        ("x.tsv.gz", lambda text: gzip.compress(text.replace(",", "\t").encode())),
        ("x.csv", lambda text: "\ufeff" + text),
        ("x.csv", lambda text: text.replace("ana", '"ana"')),
    ],
)
def test_ways_to_write_csv(tmp_path: Path, name: str, change: object) -> None:
    text = f"user,time,latitude,longitude\nana,{NOON},41.15,-8.6\nbo,5,1,2\n"
    plain = read_positions([csv(tmp_path, text, "plain.csv")], PLAIN)
    assert same(read_positions([csv(tmp_path, change(text), name)], PLAIN), plain)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("written", "config", "time", "local"),
    [
        (str(NOON), PLAIN, NOON, NOON),
        (f"{NOON}.75", PLAIN, NOON, NOON),
        (str(NOON), LISBON, NOON, NOON + 3600),
        ("2013-07-01 11:59:59", PLAIN, NOON, NOON),
        ("2013-07-01T11:59:59.999", PLAIN, NOON, NOON),
        ("2013-07-01T11:59:59Z", LISBON, NOON, NOON + 3600),
        ("2013-07-01T14:59:59+03:00", LISBON, NOON, NOON + 3600),
        # Without a zone, the clock in Lisbon showed it.
        ("2013-07-01 12:59:59", LISBON, NOON, NOON + 3600),
        ("2013-01-01 00:00", LISBON, 1356998400, 1356998400),
    ],
)
def test_ways_to_write_a_time(tmp_path: Path, written: str, config: TableConfig, time: int, local: int) -> None:
    found = read_positions([csv(tmp_path, f"user,time,latitude,longitude\nu,{written},0,0\n")], config)
    assert (found.time.tolist(), found.local.tolist()) == ([time], [local])


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    times=st.lists(st.integers(0, 2_000_000_000), min_size=1, max_size=20),
    zone=st.sampled_from(["Europe/Lisbon", "Asia/Kathmandu", "Australia/Lord_Howe", "UTC", "America/St_Johns"]),
)
def test_local_clocks(tmp_path: Path, times: list[int], zone: str) -> None:
    rows = "".join(f"u,{time},0,0\n" for time in times)
    found = read_positions([csv(tmp_path, "user,time,latitude,longitude\n" + rows)], TableConfig(time_zone=zone))
    clocks = [datetime.fromtimestamp(time, UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=UTC) for time in times]
    assert found.local.tolist() == [int(clock.timestamp()) for clock in clocks]


def table(**values: object) -> pa.Table:
    given = {"user": [1, 2], "time": [NOON, NOON + 1], "latitude": [41.5, 41.25], "longitude": [-8.0, -8.5], **values}
    return pa.table(given)


@pytest.mark.parametrize(
    ("values", "config"),
    [
        ({}, PLAIN),
        ({"user": pa.array([1, 2], pa.int8())}, PLAIN),
        ({"user": ["1", "2"]}, PLAIN),
        ({"user": pa.array(["1", "2"]).dictionary_encode()}, PLAIN),
        ({"user": pa.array(["1", "2"], pa.large_string())}, PLAIN),
        ({"time": [float(NOON), NOON + 1.5]}, PLAIN),
        ({"time": pa.array([NOON, NOON + 1], pa.timestamp("s"))}, PLAIN),
        ({"time": pa.array([NOON * 10**9 + 5, (NOON + 1) * 10**9], pa.timestamp("ns", "Asia/Tokyo"))}, PLAIN),
        ({"latitude": pa.array([41.5, 41.25], pa.float32())}, PLAIN),
        ({"latitude": ["41.5", " 41.25"]}, PLAIN),
    ],
)
def test_parquet(tmp_path: Path, values: dict[str, object], config: TableConfig) -> None:
    parquet.write_table(table(), tmp_path / "plain.parquet")
    parquet.write_table(table(**values), tmp_path / "x.parquet")
    plain = read_positions([tmp_path / "plain.parquet"], config)
    assert same(read_positions([tmp_path / "x.parquet"], config), plain)
    assert plain.time.tolist() == [NOON, NOON + 1]


def test_a_user_is_the_same_in_every_file(tmp_path: Path) -> None:
    text = "user,time,latitude,longitude\n1,0,0,0\n2,0,0,0\n"
    parquet.write_table(table(user=[2, 1]), tmp_path / "b.parquet")
    found = read_positions([csv(tmp_path, text), tmp_path / "b.parquet"], PLAIN)
    assert found.user[:2].tolist() == found.user[2:].tolist()[::-1]
    # It must not change with a new version of Atoll: it decides in which split a user is.
    assert found.user[0] == 8898586205396736955


def test_other_names_of_columns(tmp_path: Path) -> None:
    config = TableConfig(user="taxi", time="when", latitude="y", longitude="x")
    found = read_positions([csv(tmp_path, "x,y,when,taxi\n1,2,3,4\n")], config)
    assert (found.longitude[0], found.latitude[0], found.time[0]) == (1, 2, 3)


SECRET = "31337"
GOOD = "u,0,1,1\n"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (f"u,0,{SECRET},0", "row 4: latitude is no number of degrees from -90 to 90"),
        (f"u,0,x{SECRET},0", "row 4: latitude is no number"),
        ("u,0,,0", "row 4: latitude is no number"),
        ("u,0,nan,0", "row 4: latitude is no number"),
        (f"u,0,0,-{SECRET}", "row 4: longitude is no number of degrees from -180 to 180"),
        (f"u,{SECRET}x,0,0", "row 4: time is no timestamp, ISO 8601 text or seconds since 1970"),
        (f"u,{SECRET}0000000000,0,0", "row 4: time .*milliseconds must be divided by 1000"),
        (f"u,-{SECRET},0,0", "row 4: time is no"),
        (",0,0,0", "row 4: user is empty"),
        (f"u,0,{SECRET}", "line 5 has another number of columns than the header"),
        (f"u,0,0,0,{SECRET}", "line 5 has another number of columns"),
    ],
)
def test_bad_rows(tmp_path: Path, row: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = csv(tmp_path, "user,time,latitude,longitude\n" + GOOD * 3 + row + "\n" + GOOD * 2)
    with pytest.raises(DataError, match=message) as error:
        read_positions([path], PLAIN)
    assert str(error.value).startswith(f"{path}: ")
    chain: BaseException | None = error.value
    while chain is not None:
        assert SECRET not in str(chain).removeprefix(str(path)), "a private value"
        chain = chain.__cause__


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"user": [None, 2]}, "row 1: there is no value in column 'user'"),
        ({"latitude": [1.0, None]}, "row 2: there is no value in column 'latitude'"),
        ({"latitude": [1.0, float("nan")]}, "row 2: latitude is no number"),
        ({"longitude": [1.0, float("inf")]}, "row 2: longitude is no number"),
        ({"time": ["2013-07-01", "soon"]}, "row 2: time is no timestamp"),
        ({"time": ["soon", "2013-07-01"]}, "row 1: time is no timestamp"),
        ({"time": pa.array([-1, 2], pa.timestamp("s"))}, "row 1: time is no"),
        ({"time": pa.array([1, 2], pa.date32())}, "row 1: time is no timestamp"),
        ({"time": [[1], [2]]}, "row 1: time is no timestamp"),
        ({"user": [[1], [2]]}, "row 1: user is nothing that can be written as text"),
    ],
)
def test_bad_parquet_rows(tmp_path: Path, values: dict[str, object], message: str) -> None:
    path = tmp_path / "x.parquet"
    parquet.write_table(table(**values), path)
    with pytest.raises(DataError, match=message):
        read_positions([path], PLAIN)


def test_rows_are_counted_over_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_ROWS", 7)
    latitude = [0.0] * 30
    latitude[23] = 91
    values = {"user": ["u"] * 30, "time": [0] * 30, "latitude": latitude, "longitude": [0] * 30}
    parquet.write_table(pa.table(values), tmp_path / "x.parquet")
    with pytest.raises(DataError, match="row 24: latitude"):
        read_positions([tmp_path / "x.parquet"], PLAIN)


@pytest.mark.parametrize("name", ["x.csv", "x.parquet"])
def test_no_such_column(tmp_path: Path, name: str) -> None:
    if name == "x.csv":
        csv(tmp_path, "user,time,lattitude,longitude\n" + GOOD)
    else:
        parquet.write_table(table().rename_columns(["user", "time", "lattitude", "longitude"]), tmp_path / name)
    with pytest.raises(DataError, match=r"no column 'latitude': there are .*; did you mean 'lattitude'\?"):
        read_positions([tmp_path / name], PLAIN)


def test_a_column_twice(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the name 'user' stands there more than once"):
        read_positions([csv(tmp_path, "user,time,latitude,longitude,user\nu,0,0,0,u\n")], PLAIN)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.parquet", b"no parquet"),
        ("x.parquet", b""),
        ("x.csv", b""),
        ("x.csv", b"user,time,latitude,longitude\n\xff\xfe,0,0,0\n"),
        ("x.csv.gz", b"no gzip"),
    ],
)
def test_what_is_no_table(tmp_path: Path, name: str, content: bytes) -> None:
    path = csv(tmp_path, content, name)
    with pytest.raises(DataError, match=rf"^{path}: "):
        read_positions([path], PLAIN)


def test_no_file_and_no_row(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_positions([tmp_path / "x.parquet"], PLAIN)
    with pytest.raises(DataError, match=r"no row in .*x\.csv"):
        read_positions([csv(tmp_path, "user,time,latitude,longitude\n")], PLAIN)


def test_points_of_interest(tmp_path: Path) -> None:
    latitude, longitude, category = read_points(csv(tmp_path, "category,latitude,longitude\n0,1,2\n33,3,4\n"), PLAIN)
    assert (latitude.tolist(), longitude.tolist(), category.tolist()) == ([1, 3], [2, 4], [0, 33])
    for bad in ("34", "-1", "0.5", "cafe"):
        path = csv(tmp_path, f"category,latitude,longitude\n1,0,0\n{bad},1,2\n")
        with pytest.raises(DataError, match="row 2: category is no whole number from 0 to 33"):
            read_points(path, PLAIN)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"user": ""}, "must name four columns"),
        ({"user": "time"}, "must name four columns"),
        ({"cell_metres": 1.0}, "cell_metres=1.0 must be from 10"),
        ({"cell_metres": float("nan")}, "cell_metres=nan"),
        ({"least_users": 0}, "least_users=0 must be at least 1"),
        ({"days": 0}, "days=0"),
        ({"shortest": 1}, "shortest=1 must be at least 2"),
        ({"gap_hours": 0.0}, "gap_hours=0.0"),
        ({"time_zone": "Europe/Atlantis"}, "time_zone='Europe/Atlantis' is unknown here"),
        ({"time_zone": "../etc/passwd"}, "is unknown here"),
    ],
)
def test_values_that_make_no_sense(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TableConfig(**values).check()  # type: ignore[arg-type]


def test_the_defaults_make_sense() -> None:
    PLAIN.check()
