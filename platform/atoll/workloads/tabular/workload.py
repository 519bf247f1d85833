"""The workload ``tabular``: an owner's rows as batches of a classifier anchor, whose schema says what they mean."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from atoll.anchors.anchor import Anchor
from atoll.anchors.classifier import ClassifierArchitecture, TabularForm
from atoll.anchors.classifier.schema import Column, Schema
from atoll.errors import ConfigError
from atoll.mixture import Descriptor
from atoll.workloads.classification.classes import ClassList
from atoll.workloads.classification.samples import LabelledSamples, Shares
from atoll.workloads.classification.workload import Classification, absolute_paths
from atoll.workloads.data import DataConfig
from atoll.workloads.files import find_files
from atoll.workloads.reading import Tally
from atoll.workloads.tabular.config import TabularConfig
from atoll.workloads.tabular.public import public_descriptor, public_rows
from atoll.workloads.tabular.rows import read_rows
from atoll.workloads.workload import Batch, Split

_GROUP = "group"


@final
class Tabular(Classification):
    """Rows with a class each, split by row or by person."""

    name: ClassVar[str] = "tabular"
    Config: ClassVar[type[DataConfig]] = TabularConfig
    unit: ClassVar[str] = "row"
    _input: ClassVar[str] = "columns"

    def __init__(self, config: TabularConfig, anchor: Anchor) -> None:
        """Check the values of the configuration; files are first looked at by :meth:`prepare`.

        Raises:
            ConfigError: a value that makes no sense, or an anchor for other data.
        """
        config.check()
        self.schema = _schema(anchor)
        super().__init__(ClassList(tuple(self.schema.label.classes)), anchor)
        self.config = config

    @classmethod
    def open(cls, config: TabularConfig, anchor: Anchor, cache: Path) -> "Tabular":
        """The rows; nothing is kept in the cache."""
        return cls(config, anchor)

    @classmethod
    def public(cls, anchor: Anchor) -> "Tabular":
        """Rows that are drawn from the schema alone."""
        made = cls(TabularConfig(paths=["drawn"]), anchor)
        made._splits = public_rows(made.schema).splits(cls.name, made.config.shares)
        return made

    @classmethod
    def absolute(cls, config: TabularConfig) -> TabularConfig:
        """Paths from the root, with ``~`` written out."""
        return replace(config, paths=absolute_paths(config.paths))

    @classmethod
    def private_paths(cls, config: TabularConfig) -> tuple[Path, ...]:
        """The folders and files."""
        return tuple(Path(path) for path in config.paths)

    @classmethod
    def frame(cls, anchor: Anchor, model: nn.Module, sites: Sequence[str], cache: Path) -> Descriptor:
        """From rows that are drawn from the schema alone, the same for everyone."""
        return public_descriptor(anchor, _schema(anchor), model, sites, cache)

    def samples(self, split: Split, indices: Sequence[int]) -> Batch:
        """These rows side by side, with the groups that each is of: int64 [B, G], the number of its value."""
        batch = super().samples(split, indices)
        columns = batch.inputs[self._input]
        group = [columns[:, span].argmax(-1) for _, span in self._grouped]
        further = {_GROUP: torch.stack(group, -1)} if group else {}
        return replace(batch, targets={**batch.targets, **further})

    @property
    def _grouped(self) -> list[tuple[Column, slice]]:
        """Columns of groups, and where in an encoded row they are."""
        return [(column, span) for column, span in self.schema.spans if column.name in self.schema.groups]

    @property
    def group_names(self) -> Sequence[str]:
        """``COLUMN=VALUE`` for every value of the schema's groups."""
        return [f"{column.name}={value}" for column, _ in self._grouped for value in column.values]

    def groups_of(self, targets: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Rows whose value is missing are of no group."""
        counts = [len(column.values) for column, _ in self._grouped]
        values = [(place, number) for place, count in enumerate(counts) for number in range(count)]
        rows = (targets[_GROUP][:, place] == number for place, number in values)
        return dict(zip(self.group_names, rows, strict=True))

    def _read(self, paths: Sequence[str] | None = None) -> LabelledSamples:
        files = find_files(self.config.paths if paths is None else paths, self.name)
        self._tally = Tally(self.config.on_error)
        return read_rows(files, self.schema, self.config.invalid, self._tally)

    @property
    def _shares(self) -> Shares:
        return self.config.shares

    def _taken(self, values: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(values)


def _schema(anchor: Anchor) -> Schema:
    """What the anchor's columns mean.

    Raises:
        ConfigError: it is no anchor for tables.
    """
    form = anchor.architecture
    if not isinstance(form, ClassifierArchitecture) or not isinstance(form.stem, TabularForm):
        raise ConfigError(
            f"tabular: anchor {anchor.name} reads {anchor.workload}; make one of your tables' public schema with "
            "`atoll anchor tabular SCHEMA.yaml --out FOLDER`, and name its folder"
        )
    return form.stem.schema
