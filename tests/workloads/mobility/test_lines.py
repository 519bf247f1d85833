import gzip
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from tests.workloads.mobility.samples import city, same, trajectories

from atoll.errors import DataError
from atoll.workloads.mobility import lines
from atoll.workloads.mobility.lines import read_trajectories, write_trajectories
from atoll.workloads.mobility.trajectories import Trajectories

TOWN = city(20)
PUBLISHED = "1391097 0 8 4,0,0,0,0;7,0,9,9,1;7,1,0,39,0;7,2,3,51,0;3,2,17,14,1;7,2,22,5,1"


def written(folder: Path, text: str | bytes, name: str = "x.txt") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_a_published_line(tmp_path: Path) -> None:
    found = read_trajectories(written(tmp_path, PUBLISHED), TOWN)
    assert len(found) == 1
    window = found.window(0)
    assert (window.user, window.radius, window.entropy) == (1391097, 0, 8)
    assert window.location.tolist() == [4, 7, 7, 7, 3, 7]
    assert window.day.tolist() == [0, 0, 1, 2, 2, 2]
    assert window.slot.tolist() == [0, 9, 0, 3, 17, 22]
    assert window.wait.tolist() == [0, 9, 39, 51, 14, 5]
    assert window.jump.tolist() == [0, 1, 0, 0, 1, 1]


@pytest.mark.parametrize("form", ["{0}\n", "{0};\r\n", "\ufeff{0}\n\n \n", "  {0}\t\n", "{0}\n{0}"])
def test_what_does_not_matter(tmp_path: Path, form: str) -> None:
    found = read_trajectories(written(tmp_path, form.format(PUBLISHED)), TOWN)
    assert same(found.select([0]), read_trajectories(written(tmp_path, PUBLISHED, "y.txt"), TOWN))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=trajectories(least=1))
@pytest.mark.parametrize("name", ["x.txt", "x.txt.gz"])
def test_round_trip(tmp_path: Path, name: str, value: Trajectories) -> None:
    write_trajectories(tmp_path / name, value)
    assert same(read_trajectories(tmp_path / name, TOWN), value)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_small_chunks_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "\n".join(f"{user} 1.5 2 {user},0,1,0,0;{user},6,47,3.5,1e-3" for user in range(20)))
    whole = read_trajectories(path, TOWN)
    monkeypatch.setattr(lines, "_CHUNK", 3)
    assert same(read_trajectories(path, TOWN), whole)
    monkeypatch.setattr(lines, "_LINES", 7)
    write_trajectories(tmp_path / "y.txt", whole)
    assert same(read_trajectories(tmp_path / "y.txt", TOWN), whole)


def test_several_files_in_their_order(tmp_path: Path) -> None:
    paths = [written(tmp_path, f"{user} 0 0 1,1,1,0,0\n" * 2, f"{user}.txt") for user in (3, 1, 2)]
    assert read_trajectories(paths, TOWN).user.tolist() == [3, 3, 1, 1, 2, 2]


def test_the_same_trajectories_give_the_same_compressed_file(tmp_path: Path) -> None:
    value = read_trajectories(written(tmp_path, PUBLISHED), TOWN)
    for name in ("a.gz", "b.gz"):
        write_trajectories(tmp_path / name, value)
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


SECRET = "77777"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"{SECRET} 0 0 20,0,0,0,0", r"visit 1: the location, of the 20 \(0 to 19\) of city 'toy', is out of range"),
        (f"1 0 0 1,0,0,0,0;{SECRET},0,0,0,0", "visit 2: the location"),
        (f"{SECRET} 0 0 1,0,0,0,0;1,7,0,0,0", "visit 2: the day, of 0 .Monday. to 6, is out of range"),
        (f"{SECRET} 0 0 1,0,48,0,0", "visit 1: the half-hour slot, of 0 to 47, is out of range"),
        (f"{SECRET} 0 0 1,0,0,1e99,0", "visit 1: the waiting time is out of range"),
        (f"{SECRET} 0 0 1,0,0,0,1e39", "visit 1: the jump is out of range"),
        (f"{SECRET} 0 1e39 1,0,0,0,0", "radius or entropy is out of range"),
        (f"{SECRET} 0 0 1,0,0,0,0;1,0,0,0;1,0,0,0,0", "visit 2 has 4 fields, where 5 are needed"),
        (f"{SECRET} 0 0 1,0,0,0;1,0,0,0,0,0", "visit 1 has 4 fields"),
        (f"{SECRET} 0 0 1,0,0,0,0;;1,0,0,0,0", "visit 2 has 0 fields"),
        (f"{SECRET} 0 0 1,0,0,0,0;;", "visit 2 has 0 fields"),
        (f"{SECRET} 0 0 1,0,0,-1,0", "visit 1 has a field that is not a number that can be used, or is negative"),
        (f"{SECRET} 0 0 {SECRET}1.5,0,0,0,0", "visit 1 has a field"),
        (f"{SECRET} 0 0 1,0,0,nan,0", "visit 1 has a field"),
        (f"{SECRET} 0 0 ٣,0,0,0,0", "visit 1 has a field"),
        (f"{SECRET} 0 0", "3 parts between spaces, where 4 are needed"),
        (f"{SECRET} 0 0 1,0,0,0,0; 1,0,0,0,0", "5 parts"),
        (f"u{SECRET} 0 0 1,0,0,0,0", "the user .a whole number. is not a number"),
        (f"9{SECRET}9999999999999 0 0 1,0,0,0,0", "the user's number does not fit"),
        (f"{SECRET} x 0 1,0,0,0,0", "the radius of gyration is not a number"),
        (f"{SECRET} 0 - 1,0,0,0,0", "the location entropy is not a number"),
    ],
)
def test_bad_lines(tmp_path: Path, line: str, message: str) -> None:
    path = written(tmp_path, f"{PUBLISHED}\n{PUBLISHED}\n{line}\n{PUBLISHED}\n")
    with pytest.raises(DataError, match=message) as error:
        read_trajectories(path, TOWN)
    assert str(error.value).startswith(f"{path}: line 3: ")
    said = str(error.value).removeprefix(str(path))
    assert SECRET not in said
    assert "1391097" not in said


def test_an_empty_line_between_others(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 2 is empty"):
        read_trajectories(written(tmp_path, f"{PUBLISHED}\n\n\n{PUBLISHED}\n"), TOWN)


@pytest.mark.parametrize("content", [b"", b"\n\n", gzip.compress(b"", mtime=0)])
def test_no_trajectory(tmp_path: Path, content: bytes) -> None:
    path = written(tmp_path, content, "x.gz" if content.startswith(b"\x1f") else "x.txt")
    with pytest.raises(DataError, match="holds no trajectory; expected is 'user r_gyr"):
        read_trajectories(path, TOWN)


@pytest.mark.parametrize(
    "content",
    [
        b"plain",
        gzip.compress(PUBLISHED.encode(), mtime=0)[:-6],
        gzip.compress(PUBLISHED.encode(), mtime=0)[:10] + b"\xff" * 30,
        gzip.compress(PUBLISHED.encode(), mtime=0)[:-8] + b"\0" * 8,
    ],
)
def test_what_is_no_gzip_file(tmp_path: Path, content: bytes) -> None:
    path = written(tmp_path, content, "x.txt.gz")
    with pytest.raises(DataError, match=r"x\.txt\.gz: (the gzip file (ends before|is damaged)|line 1: 1 parts)"):
        read_trajectories(path, TOWN)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_trajectories(tmp_path / "x.txt", TOWN)


def test_it_cannot_be_written(tmp_path: Path) -> None:
    value = read_trajectories(written(tmp_path, PUBLISHED), TOWN)
    with pytest.raises(DataError, match="cannot be written: No such file"):
        write_trajectories(tmp_path / "no" / "x.txt", value)


@pytest.mark.parametrize("name", ["x.txt", "x.gz"])
def test_a_file_that_is_one_endless_line_is_not_read_whole(tmp_path: Path, name: str) -> None:
    content = b"1 0 0 " + b"1,0,0,0,0;" * 4_000_000
    path = written(tmp_path, gzip.compress(content, 1) if name == "x.gz" else content, name)
    del content
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="line 1 is longer than 1048576 bytes"):
            read_trajectories(path, TOWN)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_a_large_file_costs_its_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = "123456789 1.25 2.5 " + ";".join(["12,3,45,1.125,2.75"] * 100) + "\n"
    path = written(tmp_path, line * 2000)
    monkeypatch.setattr(lines, "_CHUNK", 1 << 12)
    tracemalloc.start()
    try:
        found = read_trajectories(path, TOWN)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    size = sum(column.nbytes for column in (found.location, found.day, found.slot, found.wait, found.jump))
    assert found.visits == 200_000
    # Twice while the parts are put together; the text has 3.8 MB.
    assert peak < 2.5 * size < path.stat().st_size * 2.5
    assert np.unique(found.wait).tolist() == [1.125]
