"""From folders of pictures and files of arrays to labelled samples."""

import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atoll.anchors.classifier import ImagesForm
from atoll.errors import ConfigError, DataError
from atoll.workloads.classification.classes import ClassList
from atoll.workloads.classification.samples import LabelledSamples, numbered
from atoll.workloads.column_names import require_unique
from atoll.workloads.images.convert import Bytes, as_read
from atoll.workloads.images.modes import pixels, scaled_array
from atoll.workloads.paths import user_path
from atoll.workloads.reading import Tally


def read_pictures(
    paths: Iterable[str],
    classes: ClassList,
    form: ImagesForm,
    intensity: Sequence[float] = (),
    tally: Tally | None = None,
) -> LabelledSamples:
    """All pictures, as the anchor reads them: uint8 [N, C, H, W].

    Raises:
        ConfigError: a path that does not exist.
        DataError: a picture or array that cannot be read, a class that is not listed, persons in some files only, or
            nothing at all.
    """
    reader = _Reader(classes, form, intensity, tally or Tally())
    named = [user_path(path) for path in paths]
    found = [reader.read(path) for path in named]
    reader.tally.close()
    if not any(len(part) for part in found):
        told = reader.tally.report().named
        raise DataError("\n  ".join([f"images: there is no picture in {', '.join(map(str, named))}", *told]))
    found = [part for part in found if len(part)]
    if len({part.person is None for part in found}) > 1:
        raise DataError("images: some of the files say whose pictures they are (persons) and others do not")
    persons = [part.person for part in found if part.person is not None]
    return LabelledSamples(
        np.concatenate([part.values for part in found]),
        np.concatenate([part.label for part in found]),
        np.concatenate(persons) if persons else None,
    )


def read_files(files: Sequence[Path], form: ImagesForm, intensity: Sequence[float] = ()) -> LabelledSamples:
    """Single pictures, as the anchor reads them, of a class that is not looked at.

    Raises:
        DataError: one that cannot be read.
    """
    pictures = [as_read(pixels(file, form.channels, intensity)[None], form) for file in files]
    return LabelledSamples(np.concatenate(pictures), np.zeros(len(pictures), dtype=np.int64), None)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads folders and arrays; what cannot be read is told to ``tally``."""

    classes: ClassList
    form: ImagesForm
    intensity: Sequence[float]
    tally: Tally

    def read(self, path: Path) -> LabelledSamples:
        """The pictures of a folder or file."""
        if path.is_dir():
            return self._folder(path)
        if path.is_file() and path.suffix == ".npz":
            try:
                found = self._arrays(path)
            except DataError as error:
                self.tally.bad_file(path, "file of arrays that cannot be read", str(error))
                return self._labelled([], [])
            self.tally.file()
            return found
        if path.exists():
            raise ConfigError(f"images: '{path}' is neither a folder nor an .npz file")
        raise ConfigError(f"images: path '{path}' does not exist")

    def _folder(self, path: Path) -> LabelledSamples:
        folders = sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))
        if not folders:
            raise DataError(f"images: '{path}' has no sub-folders: put the pictures of each class into one of its name")
        labels = self.classes.places([folder.name for folder in folders], f"images: '{path}'")
        pictures: list[Bytes] = []
        label: list[int] = []
        for folder, place in zip(folders, labels.tolist(), strict=True):
            for file in sorted(
                entry for entry in folder.iterdir() if entry.is_file() and not entry.name.startswith(".")
            ):
                try:
                    pictures.append(as_read(pixels(file, self.form.channels, self.intensity)[None], self.form))
                except DataError as error:
                    self.tally.bad_file(file, "picture that cannot be read", str(error))
                else:
                    label.append(place)
                    self.tally.file()
        return self._labelled(pictures, label)

    def _labelled(self, pictures: list[Bytes], label: list[int]) -> LabelledSamples:
        values = np.concatenate(pictures) if pictures else as_read(np.zeros((0, 1, 1), np.uint8), self.form)
        return LabelledSamples(values, np.array(label, dtype=np.int64), None)

    def _arrays(self, path: Path) -> LabelledSamples:
        where = f"images: '{path}'"
        try:
            with np.load(path, allow_pickle=False) as file:
                require_unique(file.files, where)
                given = {name: file[name] for name in ("images", "labels", "persons") if name in file.files}
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
            raise DataError(f"{where} cannot be read as arrays: {error}") from error
        if missing := [name for name in ("images", "labels") if name not in given]:
            raise DataError(f"{where} has no array '{missing[0]}'; it needs images [N, H, W] and labels [N]")
        if self.intensity and given["images"].dtype != np.uint8 and given["images"].dtype.kind in "iuf":
            given["images"] = scaled_array(given["images"], self.intensity, where)
        images = _checked_images(given["images"], where)
        for name in ("labels", "persons"):
            if name in given and given[name].shape != images.shape[:1]:
                raise DataError(f"{where}: {name} is {given[name].shape}, not [{len(images)}] as there are images")
        person = _numbered(given["persons"], where) if "persons" in given else None
        return LabelledSamples(as_read(images, self.form), self.classes.places(given["labels"], where), person)


def _checked_images(images: NDArray[Any], where: str) -> Bytes:
    if images.dtype != np.uint8:
        raise DataError(
            f"{where}: images is {images.dtype}; it must be uint8, from 0 to 255, or set intensity: [LOW, HIGH]"
        )
    if images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] not in (1, 3)) or 0 in images.shape[1:]:
        raise DataError(f"{where}: images is {images.shape}; it must be [N, H, W] or [N, H, W, 1 or 3]")
    return images


def _numbered(persons: NDArray[Any], where: str) -> NDArray[np.int64]:
    """Names as numbers that are the same in every file and at every reading."""
    if persons.dtype.kind in "iu":
        return persons.astype(np.int64)
    if persons.dtype.kind != "U":
        raise DataError(f"{where}: persons is {persons.dtype}; it must be whole numbers or names")
    return numbered(persons)
