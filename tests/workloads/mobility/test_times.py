"""Times as text in the forms of ISO 8601, and bad rows counted."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from atoll.errors import DataError
from atoll.workloads.mobility.table import read_positions
from atoll.workloads.mobility.table_config import TableConfig
from atoll.workloads.mobility.times import parse_time
from atoll.workloads.reading import Tally

MOMENT = int(datetime(2024, 1, 31, 10, 15, 0, tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    "text",
    [
        "2024-01-31T10:15:00Z",
        "2024-01-31 10:15:00+00:00",
        "20240131T101500Z",
        "20240131T1015Z",
        "2024-W05-3T10:15:00Z",
        "2024W053T101500Z",
        "2024-031T10:15:00Z",
        "2024031T101500Z",
        "2024-01-31T15:45:00+0530",
        "2024-01-31T12:15:00+02",
        "2024-01-31T08:15:00\N{MINUS SIGN}02:00",
        "2024-01-31T10:15:00.5Z",
        "2024-01-31T10:15:00,123456789Z",
        "2024-01-31T10.25Z",
        "2024-01-31T10:14:60Z",
        str(MOMENT),
    ],
)
def test_every_form_is_the_same_moment(text: str) -> None:
    assert parse_time(text) == (MOMENT, False)


def test_without_an_offset_clocks_are_local() -> None:
    assert parse_time("2024-W05-3T10:15") == (MOMENT, True)
    assert parse_time("2024-01-30T24:00:00Z") == parse_time("2024-01-31T00:00:00Z")


@pytest.mark.parametrize(
    "text", ["", "soon", "2024-13-01T00:00Z", "2024-02-30T00:00", "1_0", "31.01.2024 10:15", "nan"]
)
def test_what_is_no_time(text: str) -> None:
    assert parse_time(text) is None


def test_forms_may_be_mixed_and_bad_rows_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    bad = [f"u,soon,38,{-9 - number}" for number in range(11)]
    rows = [
        "NA,2024-W05-3T10:15Z,38,-9",
        f"u,{MOMENT},38,-9",
        "u,2024-01-31T11:15:00+01:00,38,-9",
        ",20240131T1015Z,1,1",
    ]
    path.write_text("\n".join(["user,time,latitude,longitude", *rows, *bad, "u,20240131T1015Z,north,1"]) + "\n")
    with pytest.raises(DataError, match="13 records") as error:
        read_positions([path], TableConfig())
    assert "soon" not in str(error.value)
    tally = Tally("skip")
    found = read_positions([path], TableConfig(), tally)
    assert found.time.tolist() == [MOMENT] * 3
    assert found.local.tolist() == [MOMENT] * 3
    assert tally.report().bad == 13
    assert len(tally.report().named) == 10
