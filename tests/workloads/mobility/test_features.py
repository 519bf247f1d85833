from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll.workloads.mobility.city import grid_cells
from atoll.workloads.mobility.features import (
    BANDS,
    location_features,
    poi_shares,
    popularity_ranks,
    standardised,
    width,
)

PUBLISHED = sorted(Path(__file__).parents[4].glob("shared/data/city-locations/*.npy"))


def test_the_published_width() -> None:
    assert width() == 71


def test_columns_in_their_order() -> None:
    features = location_features([[3, 1], [0, 0]], [[0.5, -1.0], [2.0, 0.0]], [1, 8])
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features, [[3, 1, 0.75, 0.25, 0.5, -1, 1], [0, 0, 0, 0, 2, 0, 8]])


def test_a_whole_grid_has_mean_zero_and_variance_one() -> None:
    cells = np.stack(np.meshgrid(np.arange(5, 12), np.arange(-3, 30)), axis=-1).reshape(-1, 2)
    found = standardised(cells)
    np.testing.assert_allclose(found.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(found.std(0), 1)


def test_one_row_has_no_deviation() -> None:
    np.testing.assert_allclose(standardised([[0, 4], [1, 4], [2, 4]])[:, 1], 0)


def test_ranks_of_a_hundred_locations() -> None:
    ranks = popularity_ranks(np.arange(100, 0, -1))
    assert np.bincount(ranks).tolist() == [0, 1, 4, 5, 10, 20, 20, 20, 20]
    assert (np.diff(ranks) >= 0).all()


@given(visits=st.lists(st.integers(0, 50), min_size=1, max_size=300))
def test_ranks_are_bands_of_the_order(visits: list[int]) -> None:
    ranks = popularity_ranks(visits)
    order = sorted(range(len(visits)), key=lambda location: -visits[location])
    for place, location in enumerate(order):
        assert ranks[location] == 1 + sum(place >= len(visits) * band // 100 for band in BANDS)


@pytest.mark.skipif(not PUBLISHED, reason="the published arrays lie outside of the repository")
@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_the_published_arrays_are_what_they_are_said_to_be(path: Path) -> None:
    values = np.load(path)
    counts, ranks = values[:, :34], values[:, -1]
    np.testing.assert_allclose(poi_shares(counts), values[:, 34:68])
    assert (counts == counts.round()).all()
    assert counts.sum(1).min() > 0
    # Bands: what an order with these ranks gives are these numbers of locations.
    assert np.bincount(popularity_ranks(-ranks)).tolist() == np.bincount(ranks.astype(int)).tolist()
    assert (popularity_ranks(-ranks) == ranks).all()
    # Rank 1 is the most popular: places with more to do.
    assert counts[ranks == 1].sum(1).mean() > 3 * counts[ranks == 8].sum(1).mean()
    cells = grid_cells(values[:, 68:70])
    assert cells is not None
    # Each axis is standardised over rows of which some have no location: a step is as on a grid that has no fewer.
    for axis, numbers in zip(values[:, 68:70].T, cells.T, strict=True):
        step = (axis.max() - axis.min()) / numbers.max()
        rows = np.sqrt(12 / step**2 + 1)
        assert 0.96 * (numbers.max() + 1) < rows < 1.1 * (numbers.max() + 1)
        if path.stem in ("Atlanta", "Seattle", "WashingtonDC"):
            assert rows == pytest.approx(round(rows), abs=1e-3)
