"""The base of workloads whose samples have one class each."""

import hashlib
import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from atoll.anchors.anchor import Anchor
from atoll.anchors.classifier import ClassifierArchitecture
from atoll.errors import ConfigError, DataError, PackageError
from atoll.workloads.classification.classes import ClassList, FeatureSpace
from atoll.workloads.classification.features import LabelledFeatures, stem_features
from atoll.workloads.classification.figures import class_figures, class_sums
from atoll.workloads.classification.loss import class_loss
from atoll.workloads.classification.samples import LabelledSamples, Shares, numbered
from atoll.workloads.excluded import Excluded
from atoll.workloads.order import batch_indices, evaluation_indices
from atoll.workloads.paths import absolute_path
from atoll.workloads.reading import ReadReport, Tally
from atoll.workloads.workload import SPLITS, Batch, Progress, Sources, Split, SplitCounts, Workload


class Classification(Workload):
    """Samples with a class each, as batches of a classifier anchor; a sample is one position.

    Whoever derives from it says how samples are read (:meth:`_read`) and what the stem takes of them (:meth:`_taken`).
    """

    score_names: ClassVar[tuple[str, ...]] = ("accuracy", "auroc", "brier", "ece")
    lower_scores: ClassVar[tuple[str, ...]] = ("brier", "ece")
    _input: ClassVar[str]
    """Name of the model's input for what :meth:`_taken` gives."""

    def __init__(self, classes: ClassList, anchor: Anchor) -> None:
        """Check that the anchor is one for these data.

        Raises:
            ConfigError: it reads something else, or has fewer directions than there are classes.
        """
        form = anchor.architecture
        if not isinstance(form, ClassifierArchitecture) or form.input != self.name:
            raise ConfigError(
                f"{self.name}: anchor {anchor.name} reads {anchor.workload}; name one for {self.name}, such as "
                f"anchor: atoll-{self.name}"
            )
        if len(classes) > form.classes:
            raise ConfigError(
                f"{self.name}: classes names {len(classes)}, and anchor {anchor.name} has room for {form.classes}"
            )
        self.classes, self.form = classes, form
        self._anchor = anchor
        self._splits: Mapping[Split, LabelledSamples] | None = None
        self._features: dict[Split, LabelledFeatures] = {}
        self._excluded: Excluded | None = None
        self._tally = Tally()
        self._report = ReadReport()

    @abstractmethod
    def _read(self, paths: Sequence[str] | None = None) -> LabelledSamples:
        """Read and check everything: of these paths, or else of the configuration's.

        Raises:
            ConfigError: a path that cannot be used.
            DataError: a file that cannot be read, or a bad value in it.
        """

    @property
    @abstractmethod
    def _shares(self) -> Shares:
        """How samples are split."""

    @abstractmethod
    def _taken(self, values: NDArray[np.generic]) -> Tensor:
        """Values [B, ...] of samples as the stem takes them, float32 [B, ...]."""

    def prepare(self, progress: Progress | None = None) -> None:
        """Read, check and split everything, but for what is excluded.

        Raises:
            ConfigError: a path that cannot be used.
            DataError: a file that cannot be read, a bad value in it, or an empty split.
        """
        there = self._read()
        if self._excluded is not None and self._excluded.digests:
            there = there.select(np.flatnonzero(~there.held(self._excluded)))
        distinct = len(set(zip(there.keys_of_values().tolist(), there.label.tolist(), strict=True)))
        self._report = self._tally.report(records=len(there), duplicates=len(there) - distinct)
        self._splits = there.splits(self.name, self._shares)
        if progress is not None:
            progress(1, 1)

    @property
    def reading(self) -> ReadReport:
        """What reading found; duplicates have the values and the class of one before."""
        self.split("train")
        return self._report

    def details(self) -> Mapping[str, Any]:
        """How many samples of each class there are in all."""
        labels = np.concatenate([self.split(split).label for split in SPLITS])
        return {"classes": {name: int((labels == number).sum()) for number, name in enumerate(self.classes.names)}}

    def exclude(self, excluded: Excluded) -> None:
        """Samples, by whose they are, or where that is not known, by what they hold."""
        self._excluded, self._splits = excluded, None
        self._features.clear()

    def named_records(self, paths: Sequence[str], names: Sequence[str]) -> Iterator[bytes]:
        """Of files in the data's own form; and of persons, by name, where the data says whose its samples are."""
        if paths:
            yield from self._read(paths).contents()
        if not names:
            return
        there = self._read()
        if there.person is None:
            raise ConfigError(
                f"{self.name}: the data does not say whose its samples are, so none can be named: give a file that "
                "holds the records that are meant"
            )
        known = set(there.contents())
        for name in names:
            found = [key for key in (name.encode(), str(numbered(np.array([name]))[0]).encode()) if key in known]
            if not found:
                raise ConfigError(f"{self.name}: nobody of that name is in the data ({len(names)} names were given)")
            yield from found

    def holding(self, excluded: Excluded) -> Mapping[Split, Sequence[int]]:
        """Samples on the list."""
        return {split: np.flatnonzero(self.split(split).held(excluded)).tolist() for split in SPLITS}

    @property
    def key(self) -> str:
        """Hex digest of the classes and of all samples by split."""
        total = hashlib.sha256(json.dumps([self.name, self.classes.names]).encode())
        for split in SPLITS:
            there = self.split(split)
            total.update(np.ascontiguousarray(there.values).tobytes())
            total.update(there.label.tobytes())
            total.update(b"" if there.person is None else there.person.tobytes())
        return total.hexdigest()

    @property
    def counts(self) -> dict[Split, SplitCounts]:
        """Samples by split."""
        sizes = {split: len(self.split(split)) for split in SPLITS}
        return {split: SplitCounts(documents=size, tokens=size, characters=0) for split, size in sizes.items()}

    def split(self, split: Split) -> LabelledSamples:
        """The samples of one split.

        Raises:
            ConfigError: there is no such split.
        """
        if split not in SPLITS:
            raise ConfigError(f"{self.name}: there is no split '{split}': there are {', '.join(SPLITS)}")
        if self._splits is None:
            self.prepare()
            assert self._splits is not None
        return self._splits[split]

    def batch_indices(self, step: int, size: int, seed: int) -> list[int]:
        """Every epoch takes each sample once, in an order of its own."""
        return batch_indices(step, size, seed, len(self.split("train")))

    def evaluation_indices(self, split: Split, limit: int | None = None) -> list[int]:
        """All samples in order, or evenly spaced ones."""
        there = self.split(split)
        if not len(there):
            raise DataError(f"{self.name}: the {split} split is empty, because it was given no share")
        return evaluation_indices(len(there), limit)

    def samples(self, split: Split, indices: Sequence[int]) -> Batch:
        """These samples side by side."""
        there = self.split(split)
        rows = np.asarray(indices, dtype=np.int64)
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(there):
            raise IndexError(f"{self.name}: the {split} split has samples 0 to {len(there) - 1}, not {rows.max()}")
        inputs = {self._input: self._taken(there.values[rows]), "classes": self.classes.numbers}
        return _batch(inputs, torch.from_numpy(there.label[rows]))

    def persons(self, split: Split) -> NDArray[np.int64] | None:
        """Whose each sample is, where that is known."""
        return self.split(split).person

    def sample_digest(self, split: Split, index: int) -> str:
        """Of one sample's values and class."""
        there = self.split(split)
        held = np.ascontiguousarray(there.values[index]).tobytes()
        return hashlib.sha256(str(int(there.label[index])).encode() + b"\0" + held).hexdigest()

    def sources(self, split: Split, indices: Sequence[int]) -> Sources:
        """The person of each sample; where nobody is known, each sample is a document of its own."""
        chosen, person = np.asarray(indices, dtype=np.int64), self.split(split).person
        return Sources(np.arange(len(chosen)), chosen if person is None else person[chosen], np.ones(len(chosen)))

    def described_sources(self, documents: int) -> Sources:
        """Whose the samples are that :meth:`described` takes."""
        return self.sources("train", evaluation_indices(len(self.split("train")), documents))

    def loss(self, logits: Tensor, targets: Mapping[str, Tensor]) -> tuple[Tensor, int]:
        """Cross-entropy over the listed classes."""
        return class_loss(logits, targets)

    def scores(self, logits: Tensor, targets: Mapping[str, Tensor]) -> dict[str, float]:
        """What :meth:`finish` needs; of groups that :meth:`groups_of` names too."""
        return class_sums(logits[:, 0], targets["label"], self.groups_of(targets))

    def finish(self, sums: Mapping[str, float], count: int) -> dict[str, float]:
        """``accuracy``, ``brier``, ``ece`` and ``auroc``, of two classes ``tpr``; see :mod:`.figures`."""
        return class_figures(sums, count, len(self.classes), self.group_names)

    @property
    def group_names(self) -> Sequence[str]:
        """Groups of samples whose figures are given too."""
        return ()

    def groups_of(self, targets: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Which samples of a batch are of each, bool [B]."""
        return {}

    def predicts(self, targets: Mapping[str, Tensor]) -> Tensor:
        """Every sample's one position."""
        return targets["mask"]

    def public_context(self) -> bytes:
        """The list of classes."""
        return self.classes.to_bytes()

    def replay_context(self, context: bytes | None) -> FeatureSpace:
        """The classes of another owner, and how wide the stem's vectors are."""
        if context is None:
            raise PackageError("a package without its list of classes has nothing to draw samples of")
        return FeatureSpace(ClassList.from_bytes(context), self.form.hidden_size)

    def replay_templates(self, split: Split = "train") -> Any:
        """None: a sample is drawn by itself."""
        return None

    def replay_private(self, split: Split = "train") -> LabelledFeatures:
        """What the anchor's frozen stem says of the samples, with their classes; computed once."""
        if split not in self._features:
            there = self.split(split)
            model = self._anchor.model()
            found = stem_features(model, self._taken(there.values)) if len(there) else torch.zeros(0, 1)
            unit = np.arange(len(there)) if there.person is None else there.person
            self._features[split] = LabelledFeatures(found, there.label, unit)
        return self._features[split]

    def as_batch(self, inputs: Mapping[str, Tensor], mask: Tensor) -> Batch:
        """Replayed samples; what their classes are said to be is among the inputs as ``label``."""
        given = dict(inputs)
        return _batch(given, given.pop("label"))

    def described(
        self, documents: int, size: int, length: int | None = None
    ) -> Iterator[tuple[Mapping[str, Tensor], Tensor]]:
        """Evenly spaced training samples."""
        chosen = evaluation_indices(len(self.split("train")), documents)
        for start in range(0, len(chosen), size):
            batch = self.samples("train", chosen[start : start + size])
            yield batch.inputs, batch.targets["mask"]


def absolute_paths(paths: Sequence[str]) -> list[str]:
    """From the root, with ``~`` written out."""
    return [absolute_path(path) for path in paths]


def _batch(inputs: Mapping[str, Any], label: Tensor) -> Batch:
    targets = {"label": label, "mask": torch.ones(len(label), 1, dtype=torch.bool)}
    return Batch(inputs, targets, len(label), len(label))
