"""The workload ``images``: an owner's pictures as batches of a classifier anchor."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from atoll.anchors.anchor import Anchor
from atoll.anchors.classifier import ClassifierArchitecture, ImagesForm
from atoll.mixture import Descriptor
from atoll.workloads.classification.samples import LabelledSamples, Shares
from atoll.workloads.classification.workload import Classification, absolute_paths
from atoll.workloads.data import DataConfig
from atoll.workloads.images.config import ImagesConfig
from atoll.workloads.images.drawn import KINDS
from atoll.workloads.images.public import public_descriptor, public_pictures
from atoll.workloads.images.sources import read_files, read_pictures
from atoll.workloads.reading import Tally


@final
class Images(Classification):
    """Pictures with a class each, split by picture or by person."""

    name: ClassVar[str] = "images"
    Config: ClassVar[type[DataConfig]] = ImagesConfig
    unit: ClassVar[str] = "picture"
    _input: ClassVar[str] = "pixels"

    def __init__(self, config: ImagesConfig, anchor: Anchor) -> None:
        """Check the values of the configuration; files are first looked at by :meth:`prepare`.

        Raises:
            ConfigError: a value that makes no sense, or an anchor for other data.
        """
        config.check()
        super().__init__(config.class_list, anchor)
        self.config = config

    @classmethod
    def open(cls, config: ImagesConfig, anchor: Anchor, cache: Path) -> "Images":
        """The pictures; nothing is kept in the cache."""
        return cls(config, anchor)

    @classmethod
    def public(cls, anchor: Anchor) -> "Images":
        """The drawn pictures of the public descriptor; their classes are what is drawn."""
        made = cls(ImagesConfig(paths=["drawn"], classes=list(KINDS)), anchor)
        made._splits = public_pictures(_form(anchor)).splits(cls.name, made.config.shares)
        return made

    @classmethod
    def absolute(cls, config: ImagesConfig) -> ImagesConfig:
        """Paths from the root, with ``~`` written out."""
        return replace(config, paths=absolute_paths(config.paths))

    @classmethod
    def private_paths(cls, config: ImagesConfig) -> tuple[Path, ...]:
        """The folders and files."""
        return tuple(Path(path) for path in config.paths)

    @classmethod
    def frame(cls, anchor: Anchor, model: nn.Module, sites: Sequence[str], cache: Path) -> Descriptor:
        """From pictures that everyone can draw."""
        return public_descriptor(anchor, _form(anchor), model, sites, cache)

    def named_records(self, paths: Sequence[str], names: Sequence[str]) -> Iterator[bytes]:
        """Of folders and arrays in the data's own form, and of single pictures; of persons by name."""
        single = [path for path in paths if Path(path).is_file() and Path(path).suffix != ".npz"]
        if single:
            files = [Path(path) for path in single]
            yield from read_files(files, _form(self._anchor), self.config.intensity).contents()
        yield from super().named_records([path for path in paths if path not in single], names)

    def _read(self, paths: Sequence[str] | None = None) -> LabelledSamples:
        self._tally = Tally(self.config.on_error)
        named = self.config.paths if paths is None else paths
        return read_pictures(named, self.classes, _form(self._anchor), self.config.intensity, self._tally)

    @property
    def _shares(self) -> Shares:
        return self.config.shares

    def _taken(self, values: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(values).float() / 255


def _form(anchor: Anchor) -> ImagesForm:
    assert isinstance(anchor.architecture, ClassifierArchitecture)
    assert isinstance(anchor.architecture.stem, ImagesForm)
    return anchor.architecture.stem
