"""Taxi trips of Porto: a reader of pickles that runs nothing, and tables that the workload reads."""

import os
import pickle
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from atoll.benchmarks.mobility import porto
from atoll.benchmarks.mobility.pickled import read_frame
from atoll.errors import DataError
from atoll.workloads.mobility import MobilityConfig
from atoll.workloads.mobility.sources import read_silo
from atoll.workloads.mobility.table_config import TableConfig

JULY, AUGUST = 1_372_680_000, 1_375_358_400


def trips(taxis: int = 6, each: int = 4) -> pd.DataFrame:
    """Trips through the city, half of them in July and half in August, half of each from the east."""
    rows = []
    for number in range(taxis * each):
        taxi, start = number % taxis, (JULY, AUGUST)[number // taxis % 2] + 3600 * number
        points = [[-8.6 - 0.02 * (number % 2) - 0.005 * step, 41.15 + 0.01 * (number % 3)] for step in range(8)]
        rows.append((start * 10**9 + 620_000_000 + taxi, start, points))
    # As pandas 2 had it, which pickled what is published.
    return pd.DataFrame(rows, columns=pd.Index(["trip_id", "timestamp", "geometry"], dtype=object))


class Calls:
    """Pickled as a call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self._call = function, arguments

    def __reduce__(self) -> Any:
        return self._call


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_a_data_frame_is_read(tmp_path: Path, protocol: int) -> None:
    frame = trips()
    frame.loc[3, "timestamp"] = 5
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(frame, protocol=protocol))
    pd.testing.assert_frame_equal(read_frame(tmp_path / "x.pkl"), frame)


def test_a_frame_of_numpy_1_is_read(tmp_path: Path) -> None:
    written = pickle.dumps(trips(), protocol=3)
    assert b"numpy._core" in written
    (tmp_path / "x.pkl").write_bytes(written.replace(b"cnumpy._core.", b"cnumpy.core."))
    pd.testing.assert_frame_equal(read_frame(tmp_path / "x.pkl"), trips())


def test_hostile_pickles_are_refused_and_not_run(tmp_path: Path) -> None:
    made = tmp_path / "made"
    for hostile in (
        Calls(os.mkdir, str(made)),
        Calls(eval, f"__import__('os').mkdir({str(made)!r})"),
        Calls(pd.read_pickle, str(tmp_path / "other.pkl")),
        Calls(np.save, str(made), 0),
        {"frame": trips(), "more": [Calls(os.mkdir, str(made))]},
        Calls(getattr, trips(), "to_pickle"),
    ):
        (tmp_path / "x.pkl").write_bytes(pickle.dumps(hostile))
        with pytest.raises(DataError, match=r"x\.pkl: the pickle names .*; it was not run"):
            read_frame(tmp_path / "x.pkl")
    assert not made.exists()
    assert os.listdir(tmp_path) == ["x.pkl"]


@pytest.mark.parametrize("name", ["DataFrame.to_pickle", "DataFrame.__reduce__", "sys"])
def test_what_is_within_an_admitted_name_is_not_admitted(tmp_path: Path, name: str) -> None:
    module = "pandas.core.frame"
    codes = b"\x80\x04\x8c" + bytes([len(module)]) + module.encode() + b"\x8c" + bytes([len(name)]) + name.encode()
    (tmp_path / "x.pkl").write_bytes(codes + b"\x93.")
    with pytest.raises(DataError, match=f"names pandas.core.frame.{name}"):
        read_frame(tmp_path / "x.pkl")


def test_a_refused_module_is_not_imported(tmp_path: Path) -> None:
    (tmp_path / "x.pkl").write_bytes(b"cantigravity\nfly\n.")
    with pytest.raises(DataError, match="antigravity"):
        read_frame(tmp_path / "x.pkl")
    assert "antigravity" not in sys.modules


def test_what_is_no_frame(tmp_path: Path) -> None:
    path = tmp_path / "x.pkl"
    with pytest.raises(DataError, match="cannot be read"):
        read_frame(path)
    written = pickle.dumps(trips())
    for data in (b"", b"not a pickle", written[:-10], written[: len(written) // 2]):
        path.write_bytes(data)
        with pytest.raises(DataError, match="no pickled data frame"):
            read_frame(path)
    path.write_bytes(pickle.dumps(np.arange(3)))
    with pytest.raises(DataError, match="a pickled ndarray, not a data frame"):
        read_frame(path)


def test_positions_are_read_as_a_city(tmp_path: Path) -> None:
    found = porto.positions(trips())
    assert found.columns.tolist() == ["user", "time", "latitude", "longitude"]
    assert len(found) == 6 * 4 * 8
    first = found[found["user"] == 0].iloc[:9]
    assert first["time"].iloc[0] == pd.Timestamp(JULY, unit="s", tz="UTC")
    assert (first["time"].diff().dt.total_seconds().iloc[1:8] == 15).all()
    assert first["longitude"].iloc[1] == pytest.approx(-8.605)
    found.to_parquet(tmp_path / "porto.parquet", index=False)
    table = TableConfig(time_zone="Europe/Lisbon", least_users=2)
    city, there = read_silo(MobilityConfig(format="table", paths=[str(tmp_path)], city="Porto", table=table))
    assert city.name == "Porto"
    assert len(np.unique(there.user)) == 6
    assert there.lengths.min() >= 5


def test_silos() -> None:
    whole = trips()
    assert [name for name, _ in porto.silos(whole, "city")] == ["porto"]
    months = dict(porto.silos(whole, "month"))
    assert {name: len(part) for name, part in months.items()} == {"porto-2013-07": 12, "porto-2013-08": 12}
    districts = dict(porto.silos(whole, "district"))
    assert sum(map(len, districts.values())) == len(whole)
    east = pd.concat([part for name, part in districts.items() if name.endswith("east")])
    assert {points[0][0] for points in east["geometry"]} == {-8.6}


def test_another_wheel_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "x.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("Palmto_gen/data/porto_sample_data.pkl", pickle.dumps(trips()))
    with pytest.raises(DataError, match="has the digest"):
        porto.unpacked(wheel, tmp_path)
    assert not (tmp_path / "trips.pkl").exists()
    wheel.write_bytes(b"x")
    with pytest.raises(DataError, match="not the wheel of palmto-gen"):
        porto.unpacked(wheel, tmp_path)
