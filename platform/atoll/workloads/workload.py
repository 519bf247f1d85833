"""The extension point ``Workload``: what a sample, a batch, a loss and a score are, for one kind of data."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from atoll.errors import ConfigError, DataError
from atoll.mixture import Descriptor
from atoll.plugins import load
from atoll.workloads.data import GROUP, DataConfig
from atoll.workloads.excluded import Excluded
from atoll.workloads.files import find_files
from atoll.workloads.reading import ReadReport

if TYPE_CHECKING:
    from atoll.anchors import Anchor

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

Progress = Callable[[int, int], None]
"""Told how much of the work is done, and how much there is."""


@dataclass(frozen=True, eq=False, slots=True)
class Question:
    """A question with answers, as token ids; a loss of an answer counts the answer's tokens alone.

    Attributes:
        right: Question and the right answer in other words: the ids, int64 [S], and at which of them the answer begins.
        wrong: The same with wrong answers.
    """

    right: tuple[Tensor, int]
    wrong: Sequence[tuple[Tensor, int]]


@dataclass(frozen=True, slots=True)
class SplitCounts:
    """What a split holds.

    Attributes:
        documents: Documents, or whatever is a person's or a case's record in this workload, such as a trajectory.
        tokens: Tokens, or whatever is predicted one at a time, such as a visit.
        characters: Of the text; 0 where there is none.
    """

    documents: int
    tokens: int
    characters: int


@dataclass(frozen=True, eq=False, slots=True)
class Batch:
    """Samples as a model takes them.

    Attributes:
        inputs: Keyword arguments of the anchor's model.
        targets: What its output is held against; tensors whose names only the workload knows.
        units: How many tokens, visits or the like are read.
        predicted: Over how many of them the loss sums.
        scale: What the summed loss is multiplied by in training; ``None`` for one over all that the step predicts.
    """

    inputs: Mapping[str, Tensor]
    targets: Mapping[str, Tensor]
    units: int
    predicted: int
    scale: float | None = None

    def to(self, device: Any) -> "Batch":
        """The same on a device."""
        return replace(self, inputs=_moved(self.inputs, device), targets=_moved(self.targets, device))


@dataclass(frozen=True, eq=False, slots=True)
class Sources:
    """Which documents some samples are made of: what a figure over these samples rests on.

    A document is what one person or case put in: where a workload knows whose a sample is, all that a person has is
    one document here.

    Attributes:
        sample: int64 [M], place of a sample among those that were asked for.
        document: int64 [M], a document that it holds a part of, any numbers; they never leave the owner.
        weight: float64 [M], how many tokens, visits or the like of the sample are that document's, above 0.
    """

    sample: NDArray[np.int64]
    document: NDArray[np.int64]
    weight: NDArray[np.float64]

    @property
    def documents(self) -> int:
        """How many distinct documents there are."""
        return len(np.unique(self.document))


class Workload(ABC):
    """An owner's data of one kind, split and ready to be trained on and measured.

    A workload reads local files and never sends anything. What is called a sample is what it trains on at a time: a
    window of text, a trajectory.
    """

    name: ClassVar[str]
    reads_tokens: ClassVar[bool] = False
    """Whether its anchors take token ids, ``input_ids``."""
    Config: ClassVar[type[DataConfig]]
    unit: ClassVar[str]
    """What losses are given per: ``token``, ``visit``."""
    score_names: ClassVar[tuple[str, ...]] = ()
    """Figures beside the loss that :meth:`finish` gives of whole splits, but for those of groups."""
    lower_scores: ClassVar[tuple[str, ...]] = ()
    """Those of them that are better when they are lower, as a loss is."""
    cached_below: ClassVar[bool] = False
    """Whether states below the first expert are a function of a sample's token ids alone, and worth keeping on disk:
    then ``targets["ids"]`` holds those."""

    @classmethod
    @abstractmethod
    def open(cls, config: Any, anchor: "Anchor", cache: Path) -> "Workload":
        """The data that ``config`` (of the type :attr:`Config`) names, for this anchor.

        Args:
            config: Where the data is, and how it is split.
            anchor: What reads it.
            cache: A folder on the owner's machine for what is computed from the data.

        Raises:
            ConfigError: values that make no sense.
        """

    @classmethod
    def higher_is_better(cls, figure: str) -> bool:
        """Whether more is better of the loss or of a score, a group's (``NAME@GROUP``) as well."""
        return figure != "loss" and figure not in cls.lower_scores and figure.partition("@")[0] not in cls.lower_scores

    @classmethod
    @abstractmethod
    def public(cls, anchor: "Anchor") -> "Workload":
        """The workload where there is nobody's data, as at a coordinator: for replay, its templates and its batches.

        Its samples, where there are any, are of public data.
        """

    @classmethod
    @abstractmethod
    def absolute(cls, config: Any) -> DataConfig:
        """The configuration with its paths made absolute."""

    @classmethod
    @abstractmethod
    def private_paths(cls, config: Any) -> tuple[Path, ...]:
        """Files and folders that nobody but the owner's own process should read."""

    @classmethod
    def data_files(cls, config: Any) -> Sequence[Path]:
        """The files that the data is in, sorted; those of folders with their subfolders, hidden ones left out.

        Raises:
            ConfigError, DataError: what is named is not there.
        """
        return find_files(map(str, cls.private_paths(config)), cls.name)

    @classmethod
    @abstractmethod
    def frame(cls, anchor: "Anchor", model: nn.Module, sites: Sequence[str], cache: Path) -> Descriptor:
        """The anchor's own domain descriptor at these sites, from public data: the same for everyone.

        Args:
            anchor: The anchor.
            model: Its unchanged model.
            sites: Module paths of the routing sites.
            cache: A folder that keeps it.
        """

    @abstractmethod
    def prepare(self, progress: Progress | None = None) -> None:
        """Check all of the data.

        Raises:
            ConfigError: a path that cannot be used.
            DataError: data that cannot be read, or too little of it.
        """

    def exclude(self, excluded: Excluded) -> None:
        """Pass over these records from now on, as if they had never been there; to be called before the data is read.

        Raises:
            ConfigError: there are some, and this workload cannot tell its records apart.
        """
        if excluded.digests:
            raise ConfigError(f"data of workload '{self.name}' has no records that could be passed over")

    def named_records(self, paths: Sequence[str], names: Sequence[str]) -> Iterator[bytes]:
        """What identifies records, for :meth:`exclude`: a document's text, a person's number, a row's values.

        Args:
            paths: Files, folders and globs of the same form as the data; all of their records are meant.
            names: Single records of the data, by the names that they have there.

        Raises:
            ConfigError: a path or a name that is not there, or a workload that cannot tell its records apart.
            DataError: a file that cannot be read.
        """
        raise ConfigError(f"data of workload '{self.name}' has no records that could be passed over")

    def holding(self, excluded: Excluded) -> Mapping[Split, Sequence[int]]:
        """Which samples of each split hold anything of these records: of the data as it is read now."""
        raise ConfigError(f"data of workload '{self.name}' has no records that could be passed over")

    @property
    @abstractmethod
    def key(self) -> str:
        """Hex digest of the data and of how it is read."""

    @property
    def reading(self) -> ReadReport:
        """What reading the data found, for its owner alone; a workload that does not count says how much there is."""
        return ReadReport(records=sum(count.documents for count in self.counts.values()))

    def details(self) -> Mapping[str, Any]:
        """Further facts of the data for its owner alone, by what they are, as plain values."""
        return {}

    @classmethod
    def check_data(cls, config: Any) -> None:
        """Find what is wrong with the data without an anchor; by itself, only whether what is named is there.

        Raises:
            ConfigError, DataError: what is wrong.
        """
        cls.data_files(config)

    @property
    @abstractmethod
    def counts(self) -> Mapping[Split, SplitCounts]:
        """What each split holds."""

    @abstractmethod
    def batch_indices(self, step: int, size: int, seed: int) -> list[int]:
        """Which training samples make up the batch of one step: a function of the data and the arguments alone."""

    @abstractmethod
    def evaluation_indices(self, split: Split, limit: int | None = None) -> list[int]:
        """Which samples an evaluation takes: all in order, or ``limit`` evenly spaced ones.

        Raises:
            DataError: the split is empty.
        """

    @abstractmethod
    def samples(self, split: Split, indices: Sequence[int]) -> Batch:
        """These samples as one batch.

        Raises:
            IndexError: there is no such sample.
        """

    def document_indices(self, split: Split, limit: int) -> list[int]:
        """Which samples of records are asked about one by one, as :meth:`sample_groups` numbers them: all, or ``limit``
        evenly spaced ones.

        Raises:
            DataError: there are none.
        """
        there = [sample for group in self.sample_groups(split) for sample in group]
        if not there:
            raise DataError(f"{self.name}: there is nothing in the {split} split in which anything is predicted")
        count = min(limit, len(there))
        return [there[number * len(there) // count] for number in range(count)]

    def documents(self, split: Split, indices: Sequence[int]) -> Batch:
        """These samples of records side by side."""
        return self.record_samples(split, indices)

    def document_bytes(self, split: Split, indices: Sequence[int]) -> list[bytes] | None:
        """What these documents say, where they are text; ``None`` elsewhere. It never leaves the owner."""
        return None

    def questions(self, split: Split, limit: int) -> list[Question]:
        """Questions with answers about a split's documents, ``limit`` evenly spaced ones; none by default."""
        return []

    @abstractmethod
    def persons(self, split: Split) -> NDArray[np.int64] | None:
        """Whose each sample of a split is, any numbers, int64 [N]; ``None`` where no person is known.

        Differential privacy of a person rests on it. It never leaves the owner.
        """

    def sample_groups(self, split: Split) -> list[list[int]]:
        """Samples of each record: of each person where persons are known, else each sample by itself.

        A figure that leaves the owner rests on whole records, and no record weighs more than another.
        """
        persons = self.persons(split)
        if persons is None:
            return [[index] for index in self.evaluation_indices(split)]
        found: dict[int, list[int]] = {}
        for index, person in enumerate(persons.tolist()):
            found.setdefault(person, []).append(index)
        return list(found.values())

    def record_samples(self, split: Split, samples: Sequence[int]) -> Batch:
        """Some of a record's samples, numbered as :meth:`sample_groups` numbers them, as one batch."""
        return self.samples(split, samples)

    def sample_digest(self, split: Split, index: int) -> str:
        """Hex digest of what one sample of a record holds; the same wherever in the data it is."""
        batch = self.record_samples(split, [index])
        total = hashlib.sha256()
        for name, value in sorted({**batch.inputs, **{f"target {key}": t for key, t in batch.targets.items()}}.items()):
            total.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            total.update(value.contiguous().cpu().numpy().tobytes())
        return total.hexdigest()

    def sources(self, split: Split, indices: Sequence[int]) -> Sources | None:
        """Which documents these samples are made of; ``None`` where the workload does not declare it.

        A node lets nothing leave that rests on samples of undeclared sources.
        """
        return None

    def described_sources(self, documents: int) -> Sources | None:
        """Which documents :meth:`described` reads, given so many at most; ``None`` where that is not declared."""
        return None

    @abstractmethod
    def loss(self, logits: Tensor, targets: Mapping[str, Tensor]) -> tuple[Tensor, int]:
        """Summed loss in nats, a float32 scalar with a gradient, and over how many units the sum goes."""

    @abstractmethod
    def predicts(self, targets: Mapping[str, Tensor]) -> Tensor:
        """Positions whose output :meth:`loss` looks at, bool [B, S]."""

    def scores(self, logits: Tensor, targets: Mapping[str, Tensor]) -> dict[str, float]:
        """Further sums by name over the units that :meth:`loss` sums over, added up over batches; none by default."""
        return {}

    def finish(self, sums: Mapping[str, float], count: int) -> dict[str, float]:
        """Figures by name, from what :meth:`scores` summed up to over a whole split: each sum per unit, by default.

        A workload whose figures are no means, such as areas under curves, makes them here of sums that are enough for
        them. Only figures leave an owner's machine, never sums. A figure that the data does not define is left out.

        Args:
            sums: By name.
            count: Over how many units they go; at least one.
        """
        return {name: total / count for name, total in sums.items()}

    @property
    def has_public_inputs(self) -> bool:
        """Whether what all samples have in common, such as a city's locations, is public. Where it is made of the data,
        one person's part in it is in everybody's samples: no training on them is private, and it never leaves.
        """
        return True

    @abstractmethod
    def public_context(self) -> bytes | None:
        """What is public of the owner's domain and replay elsewhere needs, such as a city's table of locations: goes
        into the package. ``None`` where the anchor alone says it all.
        """

    @abstractmethod
    def replay_context(self, context: bytes | None) -> Any:
        """The context of a replay generator for a domain, from that domain's :meth:`public_context`.

        Raises:
            PackageError: something else, or nothing where something is needed.
        """

    @abstractmethod
    def replay_templates(self, split: Split = "train") -> Any:
        """What a generator may align samples to, of the owner's own data; never leaves the owner."""

    @abstractmethod
    def replay_private(self, split: Split = "train") -> Any:
        """The owner's data as a generator's ``remember`` takes it; of a split other than ``train`` only to compare."""

    @abstractmethod
    def as_batch(self, inputs: Mapping[str, Tensor], mask: Tensor) -> Batch:
        """Inputs of the model that come from elsewhere, such as replay, with a mask that is False at padding."""

    @abstractmethod
    def described(
        self, documents: int, size: int, length: int | None = None
    ) -> Iterator[tuple[Mapping[str, Tensor], Tensor]]:
        """What a domain descriptor rests on: inputs of the model, and a bool mask [B, S] that is False at padding.

        Args:
            documents: How many training documents at most; evenly spaced ones.
            size: Samples in a batch.
            length: Units of each; as in training if not given.
        """


def workload_class(name: str) -> type[Workload]:
    """The workload of that name.

    Raises:
        PluginError: there is none.
    """
    found: type[Workload] = load(GROUP, name)
    return found


def _moved(tensors: Mapping[str, Tensor], device: Any) -> dict[str, Tensor]:
    return {name: value.to(device) for name, value in tensors.items()}
