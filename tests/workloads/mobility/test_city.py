import io
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.workloads.mobility.samples import city

from atoll.errors import DataError
from atoll.workloads.mobility.city import City, grid_cells, read_locations, write_locations


def published(locations: int = 30) -> np.ndarray:
    return city(locations).features.astype(np.float64)


def test_what_a_city_says_of_itself() -> None:
    toy = city(20)
    assert (toy.n, toy.pois) == (20, 34)
    assert toy.counts.shape == (20, 34)
    assert toy.coordinates.shape == (20, 2)
    assert set(toy.ranks.tolist()) <= set(range(1, 9))


def test_distances() -> None:
    toy = city(20)
    assert toy.distances(0, [0, 3, 10, 13]).tolist() == pytest.approx([0, 3, 1, 10**0.5])
    assert toy.distances([0, 1], [1, 12]).tolist() == pytest.approx([1, 2**0.5])
    assert toy.distances([0, 5]).shape == (2, 20)
    np.testing.assert_allclose(toy.distances(7), [float(toy.distances(7, other)) for other in range(20)])


def test_without_kilometres_coordinates_are_scaled() -> None:
    toy = City("toy", city(20).features, scale_km=7)
    np.testing.assert_allclose(toy.places, toy.coordinates * 7)


@pytest.mark.parametrize("location", [-1, 20])
def test_no_such_location(location: int) -> None:
    with pytest.raises(IndexError, match="locations 0 to 19"):
        city(20).distances(location)


def test_a_published_array_is_read_back(tmp_path: Path) -> None:
    toy = city(200)
    write_locations(tmp_path / "x.npy", toy)
    stored = np.load(tmp_path / "x.npy")
    assert (stored.dtype, stored.shape) == (np.dtype("<f8"), (200, 71))
    found = read_locations(tmp_path / "x.npy", "toy", cell_km=1)
    np.testing.assert_array_equal(found.features, toy.features)
    assert found.name == "toy"


def test_a_grid_gives_kilometres_though_each_axis_is_standardised_by_itself(tmp_path: Path) -> None:
    toy = city(300)
    write_locations(tmp_path / "x.npy", toy)
    found = read_locations(tmp_path / "x.npy", "toy", cell_km=1)
    np.testing.assert_allclose(found.distances(0), toy.distances(0), atol=1e-4)
    scaled = read_locations(tmp_path / "x.npy", "toy", 10, cell_km=None)
    assert float(scaled.distances(0, 5)) == pytest.approx(10 * abs(toy.coordinates[5, 0] - toy.coordinates[0, 0]))


def test_what_is_no_grid_is_scaled(tmp_path: Path) -> None:
    values = published(200)
    values[:, 68:70] = np.random.default_rng(0).normal(size=(200, 2))
    np.save(tmp_path / "x.npy", values)
    found = read_locations(tmp_path / "x.npy", "toy", 3)
    np.testing.assert_allclose(found.places, values[:, 68:70] * 3, rtol=1e-5)


@settings(deadline=None)
@given(
    cells=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=1, max_size=40, unique=True),
    scale=st.floats(0.01, 5),
    shift=st.floats(-3, 3),
)
def test_cells_of_a_grid_are_found(cells: list[tuple[int, int]], scale: float, shift: float) -> None:
    # Neighbours along the diagonal give every axis its spacing.
    whole = np.array([(number, number) for number in range(61)] + cells)
    found = grid_cells(whole * [scale, scale / 2] + shift)
    assert found is not None
    np.testing.assert_array_equal(found, whole)


def changed(row: int, column: int, value: float) -> np.ndarray:
    values = published()
    values[row, column] = value
    return values


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (changed(7, 70, np.nan), "row 7 has a value that is not a number"),
        (changed(8, 69, np.inf), "row 8 has a value that is not a number, or infinite"),
        (changed(8, 69, 1e300), "row 8 has a value that is not a number, or infinite"),
        (changed(3, 0, -1), r"row 3 has a negative count .*columns 0 to 33"),
        (changed(4, 34, 5), r"row 4 has shares .*columns 34 to 67.* neither sum to 1 nor are all 0"),
        (changed(4, 35, -0.5), "row 4 has shares"),
        (changed(9, 70, 9), "row 9 has a popularity rank"),
        (changed(9, 70, 1.5), "row 9 has a popularity rank"),
        (published()[:, :70], r"shape \(30, 70\); expected are float64 numbers of shape \(n, 71\)"),
        (np.zeros((30, 81)), r"shape \(30, 81\)"),
        (published()[0], r"shape \(71,\)"),
        (np.zeros((3, 71), dtype=np.int64), "int64, not of floating-point"),
        (np.full((2, 71), "x"), "not of floating-point"),
        (published().astype(object), "no readable .npy array"),
        (np.zeros((0, 71)), "no location|no readable"),
    ],
)
def test_impossible_values(tmp_path: Path, values: np.ndarray, message: str) -> None:
    path = tmp_path / "Town.npy"
    np.save(path, values, allow_pickle=True)
    with pytest.raises(DataError, match=message) as error:
        read_locations(path, "town")
    assert str(path) in str(error.value)


def raw(values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not an array",
        pickle.dumps(published()),
        raw(published())[:-5],
        raw(published())[:20],
        raw(published()).replace(b"(30, 71)", b"(30, 71]"),
        raw(published()).replace(b"(30, 71), }  ", b"(999999999,71"),
        b"PK\x03\x04 no archive",
    ],
)
def test_what_is_no_array(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(content)
    with pytest.raises(DataError, match=re.escape(str(path))):
        read_locations(path, "town")


def test_an_archive_is_no_array(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=published())
    with pytest.raises(DataError, match=r"no \.npy array"):
        read_locations(tmp_path / "x.npz", "town")


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such file.*locations"):
        read_locations(tmp_path / "x.npy", "town")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"features": np.zeros((3, 4))}, "4 columns"),
        ({"features": np.zeros((0, 71))}, "no location"),
        ({"features": np.zeros(71)}, r"shape \(n, F\)"),
        ({"kilometres": np.zeros((3, 2))}, r"kilometres must be finite numbers of shape \(20, 2\)"),
        ({"kilometres": np.full((20, 2), np.nan)}, "kilometres must be finite"),
        ({"scale_km": 0.0}, "scale_km=0.0"),
        ({"scale_km": float("nan")}, "scale_km=nan"),
    ],
)
def test_a_city_that_cannot_be(values: dict[str, object], message: str) -> None:
    given = {"name": "toy", "features": city(20).features, **values}
    with pytest.raises(DataError, match=message):
        City(**given)  # type: ignore[arg-type]
