"""Pictures from folders and arrays, in any size and colours, and what is said of those that cannot be read."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atoll.anchors.classifier import ImagesForm
from atoll.errors import ConfigError, DataError
from atoll.workloads.classification import ClassList, LabelledSamples
from atoll.workloads.images.convert import as_read
from atoll.workloads.images.sources import read_pictures

FORM = ImagesForm(height=8, width=8, filters=(8,))
CLASSES = ClassList(("cat", "dog", "owl"))


def read(*paths: Path, classes: ClassList = CLASSES, form: ImagesForm = FORM) -> LabelledSamples:
    return read_pictures(map(str, paths), classes, form)


def noise(count: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, *shape), dtype=np.uint8)


def saved(path: Path, **arrays: object) -> Path:
    np.savez(path, **{name: np.asarray(value) for name, value in arrays.items()})  # type: ignore[arg-type]
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, name in enumerate(("dog", "cat")):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for picture in range(3):
            pixels = np.full((8, 8), 40 * number + picture, dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{picture}.png")
    (tmp_path / "pictures" / ".hidden").mkdir()
    (tmp_path / "pictures" / "cat" / ".DS_Store").write_bytes(b"x")
    return tmp_path / "pictures"


def test_a_sub_folder_is_a_class_by_its_place_in_the_list(folder: Path) -> None:
    there = read(folder)
    assert there.label.tolist() == [0, 0, 0, 1, 1, 1]
    assert there.values[:, 0, 0, 0].tolist() == [40, 41, 42, 0, 1, 2]
    assert there.values.shape == (6, 1, 8, 8)
    assert there.person is None


def test_arrays_are_read_by_place_or_by_name(tmp_path: Path) -> None:
    images = noise(3, 8, 8)
    by_place = read(saved(tmp_path / "a.npz", images=images, labels=[2, 0, 1], persons=[7, 7, 9]))
    by_name = read(saved(tmp_path / "b.npz", images=images, labels=["owl", "cat", "dog"], persons=["x", "x", "y"]))
    assert by_place.label.tolist() == by_name.label.tolist() == [2, 0, 1]
    assert np.array_equal(by_place.values[:, 0], images)
    assert by_place.person is not None
    assert by_name.person is not None
    assert by_place.person.tolist() == [7, 7, 9]
    assert by_name.person[0] == by_name.person[1] != by_name.person[2]


def test_several_paths_are_one_silo(folder: Path, tmp_path: Path) -> None:
    more = saved(tmp_path / "more.npz", images=noise(2, 8, 8), labels=[2, 2])
    assert read(folder, more).label.tolist() == [0, 0, 0, 1, 1, 1, 2, 2]


def test_a_person_is_the_same_number_in_every_file(tmp_path: Path) -> None:
    one = read(saved(tmp_path / "a.npz", images=noise(1, 8, 8), labels=[0], persons=["ada"]))
    two = read(saved(tmp_path / "b.npz", images=noise(2, 8, 8), labels=[0, 0], persons=["bob", "ada"]))
    assert one.person is not None
    assert two.person is not None
    assert one.person[0] == two.person[1]


def test_colours_become_grey_by_their_brightness_and_grey_becomes_colour() -> None:
    red, green = np.zeros((1, 8, 8, 3), np.uint8), np.zeros((1, 8, 8, 3), np.uint8)
    red[..., 0], green[..., 1] = 200, 200
    assert set(as_read(red, FORM).ravel().tolist()) == {60}
    assert set(as_read(green, FORM).ravel().tolist()) == {117}
    colour = ImagesForm(channels=3, height=8, width=8, filters=(8,))
    assert as_read(noise(2, 8, 8), colour).shape == (2, 3, 8, 8)
    assert np.array_equal(as_read(noise(2, 8, 8, 3), colour), noise(2, 8, 8, 3).transpose(0, 3, 1, 2))


def test_other_sizes_keep_what_is_where() -> None:
    large = np.zeros((1, 32, 16), np.uint8)
    large[:, :16, :8] = 255
    small = as_read(large, FORM)[0, 0]
    assert small.shape == (8, 8)
    assert small[:3, :3].min() == 255
    assert small[5:].max() == small[:, 5:].max() == 0


Make = Callable[[Path], Path]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda p: p / "none", ConfigError, "does not exist"),
        (lambda p: saved(p / "a.npz", images=noise(2, 8, 8)), DataError, "no array 'labels'"),
        (lambda p: saved(p / "a.npz", images=noise(2, 8, 8), labels=[0]), DataError, r"labels is \(1,\), not \[2\]"),
        (lambda p: saved(p / "a.npz", images=noise(2, 8, 8), labels=[0, 3]), DataError, "there is a label 3"),
        (lambda p: saved(p / "a.npz", images=noise(1, 8, 8), labels=["elk"]), DataError, "'elk', which is not among"),
        (lambda p: saved(p / "a.npz", images=noise(2, 8, 8) / 255, labels=[0, 1]), DataError, "must be uint8"),
        (lambda p: saved(p / "a.npz", images=noise(2, 64), labels=[0, 1]), DataError, r"must be \[N, H, W\]"),
        (lambda p: saved(p / "a.npz", images=noise(2, 8, 8, 4), labels=[0, 1]), DataError, r"\(2, 8, 8, 4\)"),
        (
            lambda p: saved(p / "a.npz", images=noise(1, 8, 8), labels=[0], persons=[0.5]),
            DataError,
            "persons is float64",
        ),
        (lambda p: saved(p / "a.npz", images=noise(0, 8, 8), labels=np.zeros(0, int)), DataError, "no picture"),
    ],
)
def test_arrays_that_cannot_be_used_are_named(make: Make, error: type[Exception], message: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=message):
        read(make(tmp_path))


def test_no_pickle_is_ever_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=np.array([{"a": 1}], dtype=object), labels=[0])
    with pytest.raises(DataError, match="cannot be read as arrays"):
        read(tmp_path / "a.npz")
    (tmp_path / "b.npz").write_bytes(b"no archive")
    with pytest.raises(DataError, match="cannot be read as arrays"):
        read(tmp_path / "b.npz")
    (tmp_path / "c.txt").write_text("x")
    with pytest.raises(ConfigError, match=r"neither a folder nor an \.npz file"):
        read(tmp_path / "c.txt")


def test_a_picture_that_cannot_be_read_is_named(folder: Path) -> None:
    whole = (folder / "dog" / "1.png").read_bytes()
    (folder / "dog" / "1.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"dog/1\.png' is no picture"):
        read(folder)
    (folder / "dog" / "1.png").write_text("not a picture")
    with pytest.raises(DataError, match=r"dog/1\.png' is no picture"):
        read(folder)


def test_a_folder_of_no_listed_class_is_named(folder: Path, tmp_path: Path) -> None:
    (folder / "elk").mkdir()
    with pytest.raises(DataError, match="'elk', which is not among classes: cat, dog, owl"):
        read(folder)
    (tmp_path / "flat").mkdir()
    with pytest.raises(DataError, match="no sub-folders"):
        read(tmp_path / "flat")


def test_persons_in_some_files_only_are_refused(folder: Path, tmp_path: Path) -> None:
    more = saved(tmp_path / "more.npz", images=noise(1, 8, 8), labels=[2], persons=[1])
    with pytest.raises(DataError, match="some of the files say whose"):
        read(folder, more)
