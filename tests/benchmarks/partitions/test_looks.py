"""How pictures look at a silo."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from atoll.benchmarks.partitions.look import PLAIN, Look, turned
from atoll.errors import ConfigError


def pictures(seed: int = 0, height: int = 9, width: int = 9) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (3, height, width)).astype(np.uint8)


def test_a_plain_look_changes_nothing() -> None:
    images = pictures()
    assert PLAIN.seen(images, 0) is images
    assert (Look(rotation=360).seen(images, 0) == images).all()


@settings(deadline=None)
@given(seed=st.integers(0, 99), quarters=st.integers(-4, 4))
def test_quarter_turns_are_anticlockwise_and_exact(seed: int, quarters: int) -> None:
    images = pictures(seed)
    wanted = np.rot90(images, quarters, axes=(1, 2))
    assert np.abs(turned(images, 90.0 * quarters) - wanted).max() < 0.05
    assert (Look(rotation=90.0 * quarters).seen(images, 0) == wanted).all()


def test_an_oblong_picture_keeps_its_shape() -> None:
    images = np.zeros((1, 7, 15), dtype=np.uint8)
    images[0, 3, 10] = 255  # three to the right of the middle
    found = turned(images, 90.0)
    assert found.shape == (1, 7, 15)
    assert [int(place) for place in np.unravel_index(found.argmax(), found.shape)] == [0, 0, 7]


@settings(deadline=None)
@given(seed=st.integers(0, 99))
def test_inverting_twice_gives_the_picture_back(seed: int) -> None:
    images = pictures(seed)
    negative = Look(inverted=True)
    assert (negative.seen(images, 0) == 255 - images).all()
    assert (negative.seen(negative.seen(images, 0), 0) == images).all()


@settings(deadline=None)
@given(contrast=st.floats(0.05, 1.0), seed=st.integers(0, 99))
def test_contrast_scales_the_spread_about_the_middle(contrast: float, seed: int) -> None:
    images = pictures(seed)
    found = Look(contrast=contrast).seen(images, 0).astype(float)
    assert np.abs(found - (127.5 + contrast * (images - 127.5))).max() <= 0.5


def test_noise_is_of_the_seed_and_of_its_size() -> None:
    images = np.full((40, 28, 28), 128, dtype=np.uint8)
    noisy = Look(noise=20)
    one, again, other = noisy.seen(images, 1), noisy.seen(images, 1), noisy.seen(images, 2)
    assert (one == again).all()
    assert (one != other).any()
    assert one.std() == pytest.approx(20, rel=0.05)


def test_a_look_says_what_it_is() -> None:
    assert str(PLAIN) == "plain"
    assert str(Look(rotation=45, inverted=True, contrast=0.5, noise=8)) == "turned 45°, contrast 0.5, inverted, noise 8"


def test_what_cannot_be_seen_is_refused() -> None:
    for wrong in ({"contrast": 0.0}, {"noise": -1.0}, {"rotation": float("inf")}):
        with pytest.raises(ConfigError, match="look"):
            Look(**wrong)  # type: ignore[arg-type]
