"""Streams are what their names say, and the seed's."""

import numpy as np
import pytest

pytest.importorskip("river")

from atoll.benchmarks.online.concepts import draw
from atoll.benchmarks.online.streams import STREAMS, _rbf, read_stream
from atoll.errors import ConfigError, DataError

LENGTH = 1000
REAL = {"phishing": (9, 2), "bananas": (2, 2), "image-segments": (18, 7), "shuttle": (9, 2)}


@pytest.mark.parametrize("name", STREAMS)
def test_samples_fit_what_is_said_before(name: str) -> None:
    stream = read_stream(name, LENGTH, seed=3)
    assert len(stream.samples) == len(stream.labels) == LENGTH
    assert all(sorted(x) == list(range(stream.facts.features)) for x in stream.samples)
    assert set(stream.labels) <= set(range(stream.facts.classes))
    assert stream.facts.classes == len(set(stream.labels))


@pytest.mark.parametrize("name", STREAMS)
def test_a_seed_is_a_stream_and_real_ones_have_one_order(name: str) -> None:
    first, again, other = (read_stream(name, 300, seed) for seed in (0, 0, 1))
    assert (first.samples, first.labels) == (again.samples, again.labels)
    assert (first.samples == other.samples) == (name in REAL)


@pytest.mark.parametrize(("name", "expected"), REAL.items())
def test_real_sets_have_their_features_and_classes(name: str, expected: tuple[int, int]) -> None:
    facts = read_stream(name, LENGTH, 0).facts
    assert (facts.features, facts.classes) == expected


def test_real_sets_end_where_they_end() -> None:
    assert len(read_stream("phishing", 20_000, 0).samples) == 1250


def test_sea_goes_through_its_thresholds_and_comes_back() -> None:
    stream = read_stream("sea-abrupt", 8000, seed=0)
    sums, labels = np.array([x[0] + x[1] for x in stream.samples]), np.array(stream.labels)
    for block, threshold in enumerate((8, 9, 9.5, 8)):
        part = slice(block * 2000 + 5, (block + 1) * 2000 - 5)
        right = {limit: ((sums[part] > limit) == labels[part]).mean() for limit in (7, 8, 9, 9.5)}
        assert max(right, key=lambda limit: right[limit]) == threshold
        assert right[threshold] == pytest.approx(0.9, abs=0.03)


def test_led_moves_more_features_from_concept_to_concept() -> None:
    stream = read_stream("led-abrupt", 8000, seed=0)
    x, labels = np.array([list(sample.values()) for sample in stream.samples]), np.array(stream.labels)
    telling = []
    for block in range(4):
        part = slice(block * 2000 + 5, (block + 1) * 2000 - 5)
        means = np.array([x[part][labels[part] == digit].mean(0) for digit in range(10)])
        telling.append(set(np.flatnonzero(np.ptp(means, axis=0) > 0.4)))
    assert [len(found) for found in telling] == [7] * 4
    assert [len(found - set(range(7))) for found in telling] == [1, 3, 5, 7]
    assert stream.facts.nominal == tuple(range(24))


def test_fast_centres_move_ten_times_as_far_as_moderate_ones() -> None:
    # The same draws around centres that started in the same places; after a few samples none has met a wall.
    still, moderate, fast = (np.array(list(_sample(speed, 10).values())) for speed in (0.0, 1e-4, 1e-3))
    np.testing.assert_allclose(fast - still, 10 * (moderate - still), rtol=1e-6)
    assert np.linalg.norm(moderate - still) == pytest.approx(11 * 1e-4)


def _sample(speed: float, place: int) -> dict[int, float]:
    return _rbf(speed, place + 1, seed=1).samples[place]


def test_gradual_streams_drift_in_the_same_places_but_slowly() -> None:
    abrupt, gradual = (read_stream(f"sea-{how}", 2000, 0).drifts for how in ("abrupt", "gradual"))
    assert [drift.at for drift in abrupt] == [drift.at for drift in gradual] == [500, 1000, 1500]
    assert {drift.width for drift in abrupt} == {1}
    assert {drift.width for drift in gradual} == {100}
    assert draw(gradual, 2000, 0) != sorted(draw(gradual, 2000, 0))


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(ConfigError, match="no stream 'elec2'; there are sea-abrupt"):
        read_stream("elec2", 100, 0)
    with pytest.raises(ConfigError, match="length is 0"):
        read_stream("sea-abrupt", 0, 0)
    with pytest.raises(DataError, match=r"first 4 samples of Phishing are of one class"):
        read_stream("phishing", 4, 0)
